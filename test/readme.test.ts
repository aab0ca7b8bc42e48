import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const path = (relative: string): string => fileURLToPath(new URL(`../${relative}`, import.meta.url));
const read = (relative: string): string => readFileSync(path(relative), 'utf8');

const readme = read('README.md');
const blocks = [...readme.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(([, language, text]) => ({ language, text }));
const program = blocks.findIndex(({ language }) => language === 'ts');

it("README's program is examples/quickstart.ts", () => {
  expect(blocks[program]!.text).toBe(read('examples/quickstart.ts'));
});

it("README's program prints what README says, to the last bit", async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [path('build/examples/quickstart.js')]);
  expect(stdout).toBe(blocks[program + 1]!.text);
});

it.each(['README.md', 'CONTRIBUTING.md'])('%s names files and commands that exist', (file) => {
  const text = read(file);
  const links = [...text.matchAll(/\]\(([^)#]+)\)/g)].map(([, target]) => target!).filter((to) => !to.includes('://'));
  const mentioned = [...text.matchAll(/\b(?:test|src|docs|examples)\/[\w./-]+\.(?:ts|md|mjs)\b/g)].map(
    ([name]) => name,
  );
  for (const target of [...links, ...mentioned]) expect([target, existsSync(path(target))]).toEqual([target, true]);
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  const commands = [...text.matchAll(/`npm (?:run )?(\w+)/g)].map(([, name]) => name!).filter((name) => name !== 'ci');
  for (const command of commands) expect(Object.keys(scripts)).toContain(command);
});
