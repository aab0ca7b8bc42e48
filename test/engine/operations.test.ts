/** docs/operations.md names every end reason, every error code of the engine and every option with its default. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { defaultPolicy } from '../../src/engine/engine-options.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const page = readFileSync(join(root, 'docs/operations.md'), 'utf8');
const read = (file: string): string => readFileSync(join(root, 'src/engine', file), 'utf8');

/** The names of a union of string literals. */
function unionOf(source: string, type: string): string[] {
  const [, members] = source.match(new RegExp(`export type ${type} =([^;]+);`)) ?? [];
  return [...members!.matchAll(/'(\w+)'/g)].map(([, name]) => name!);
}

/** Upper-case literals that are no codes of shoal: those of Node and of the system, and the end that is no error. */
const foreign = /^(ERR_\w+|ENOENT|EMFILE|ENFILE|SUCCESS)$/;

function codes(): string[] {
  const files = readdirSync(join(root, 'src/engine'), { recursive: true, encoding: 'utf8' });
  const literals = files
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) => [...read(file).matchAll(/'([A-Z]{3,}(?:_[A-Z]+)*)'/g)].map(([, code]) => code!));
  return [...new Set(literals)].filter((code) => !foreign.test(code));
}

describe('docs/operations.md', () => {
  it('has a row for every end reason', () => {
    const reasons = unionOf(read('events.ts'), 'EndReason');
    expect(reasons.length).toBeGreaterThan(10);
    expect(reasons.filter((reason) => !page.includes(`\n| \`${reason}\` |`))).toEqual([]);
  });

  it('names every error code of the engine', () => {
    expect(codes()).toEqual(expect.arrayContaining(['TASK_FAILED', 'MEMORY_BUDGET', 'FREE_VARIABLE', 'PEER_AUTH']));
    expect(codes().filter((code) => !page.includes(`\`${code}\``))).toEqual([]);
  });

  it('has a row for every option, with its default', () => {
    const source = read('engine-options.ts');
    const [, own] = source.match(/export interface EngineOptions.+ {\n([\s\S]+?)\n}/) ?? [];
    const names = [...own!.matchAll(/readonly (\w+)\?/g)].map(([, name]) => name!);
    expect(names).toEqual(expect.arrayContaining(['workers', 'log', 'speculation']));
    expect(names.filter((name) => !page.includes(`\n| \`${name}\` |`))).toEqual([]);
    for (const [name, value] of Object.entries(defaultPolicy)) {
      const text = typeof value === 'number' && Number.isFinite(value) ? value.toLocaleString('en-US') : `\`${value}\``;
      expect(page).toContain(`\n| \`${name}\` | ${text} |`);
    }
  });
});
