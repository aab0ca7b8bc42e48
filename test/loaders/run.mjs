/**
 * How code reaches workers, by tool: builds and runs programs/ as users of each tool would, on the packed package, and compares what comes out
 * with the table in docs/loaders.md (`--write` writes it). `--only TEXT` runs the rows whose titles have it. The last line is `N passed, N failed`,
 * or `skipped: ...` where the tools cannot be installed.
 */
import { execFile, execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const TIMEOUT_MS = 180_000;
const TOGETHER = 3;
const here = fileURLToPath(new URL('.', import.meta.url));
const page = join(here, '../../docs/loaders.md');
const columns = ['inline', 'task()', 'task(file)', 'module', 'module(file)', 'captured', 'enum', 'imported'];

function install() {
  if (existsSync(join(here, 'node_modules/.package-lock.json'))) return true;
  try {
    const install = (...words) =>
      execFileSync('npm', [...words, '--ignore-scripts', '--no-audit', '--no-fund'], {
        cwd: here,
        stdio: ['ignore', 2, 2],
      });
    try {
      install('ci');
    } catch {
      // A registry that does not list the binaries of other platforms calls the lock file incomplete. Versions are exact in package.json too.
      install('install', '--no-package-lock');
    }
    return true;
  } catch {
    return false;
  }
}

/** A project with the programs, shoal as it is packed, and the tools. */
function makeProject(folder, tarball) {
  cpSync(join(here, 'programs'), folder, { recursive: true });
  const shoal = join(folder, 'node_modules/shoal');
  mkdirSync(shoal, { recursive: true });
  execFileSync('tar', ['-xzf', tarball, '-C', shoal, '--strip-components=1']);
  for (const name of readdirSync(join(here, 'node_modules'))) {
    symlinkSync(join(here, 'node_modules', name), join(folder, 'node_modules', name));
  }
  writeFileSync(join(folder, 'package.json'), '{ "name": "program", "private": true, "type": "module" }\n');
}

/** The outcomes of a row, by engine; or the problem that left none. */
async function outcomes({ node, prepare, args }, folder) {
  try {
    await prepare?.(folder);
    const file = join(folder, 'outcomes.json');
    const options = {
      cwd: folder,
      timeout: TIMEOUT_MS,
      env: { ...process.env, OUTCOMES: file, NODE_NO_WARNINGS: '1' },
    };
    const { stdout } = await promisify(execFile)(nodeBinary(node), args, options);
    return JSON.parse(existsSync(file) ? readFileSync(file, 'utf8') : stdout.trim().split('\n').at(-1));
  } catch (thrown) {
    return { problem: `${thrown.message}\n${thrown.stdout ?? ''}` };
  }
}

/** What threads give, and what other engines give that is not the same. */
function cell({ threads, ...others }, way) {
  const code = (text) => (text === 'works' ? text : `\`${text}\``);
  const different = Object.entries(others).filter(([, outcome]) => outcome[way] !== threads[way]);
  return [code(threads[way]), ...different.map(([name, outcome]) => `${name} ${code(outcome[way])}`)].join('; ');
}

function line(title, { problem, ...engines }) {
  if (problem !== undefined) return `| ${title} | problem: ${problem} |`;
  return `| ${title} | ${columns.map((name) => cell(engines, name)).join(' | ')} |`;
}

if (!install()) {
  console.log('skipped: the tools cannot be installed (npm ci in test/loaders failed)');
  process.exit(0);
}
const { nodeBinary, rows } = await import('./rows.mjs');
const only = process.argv.includes('--only') ? process.argv[process.argv.indexOf('--only') + 1] : '';
const chosen = rows.filter(({ title }) => title.includes(only));
const folder = mkdtempSync(join(tmpdir(), 'shoal-loaders-'));
const packed = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], {
  cwd: join(here, '../..'),
  encoding: 'utf8',
  stdio: ['ignore', 'pipe', 'ignore'],
});
const tarball = join(folder, JSON.parse(packed)[0].filename);

const text = existsSync(page) ? readFileSync(page, 'utf8') : '';
const found = new Map();
let failed = 0;
const waiting = [...chosen.entries()];
async function work() {
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    const [index, row] = next;
    const project = join(folder, String(index));
    makeProject(project, tarball);
    found.set(row.title, line(row.title, await outcomes(row, project)));
    rmSync(project, { recursive: true, force: true });
    const isTold = text.split('\n').includes(found.get(row.title));
    if (!isTold) failed++;
    console.log(`${isTold ? 'passed' : 'FAILED'}  ${found.get(row.title)}`);
  }
}
await Promise.all(Array.from({ length: TOGETHER }, work));
rmSync(folder, { recursive: true, force: true });

if (process.argv.includes('--write')) {
  const table = chosen.map(({ title }) => found.get(title)).join('\n');
  writeFileSync(
    page,
    text.replace(/(?<=^\|[-|]+\|\n)(?:\|.*\n)+/m, () => `${table}\n`),
  );
}
console.log(`${chosen.length - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
