/** @file Turns examples into modules, type-checks all of them in one strict program against the built package, and runs them. */
import { fork } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { type Example, entryFiles, root, type Sources } from './extract.ts';

const here = fileURLToPath(new URL('.', import.meta.url));
/** Inside the package, so that `shoal` resolves to it by its own exports, as for users. */
const folder = join(root, 'build/doc-examples');

/** What happened to an example: no message means that it is well. */
export interface Outcome {
  readonly types: readonly string[];
  readonly failure: string | null;
}

/** All examples, checked and run; by name. */
export async function runExamples(sources: Sources): Promise<Map<string, Outcome>> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const file of ['prelude.ts', 'same.ts']) cpSync(join(here, file), join(folder, file));
  const modules = sources.examples.map((example, i) => ({
    example,
    file: `example${i}`,
    ...moduleOf(example, sources),
  }));
  for (const { file, text } of modules) writeFileSync(join(folder, `${file}.ts`), text);
  const types = compile(modules.map(({ file }) => join(folder, `${file}.ts`)));
  const { failures, output } = await run(modules.map(({ file }) => `${file}.js`));
  return new Map(
    modules.map(({ example, file, headLines }) => {
      const messages = (types.get(`${file}.ts`) ?? []).map(
        ({ line, message }) => `${example.file}:${example.line + line - headLines}: ${message}`,
      );
      const failure = failures.get(`${file}.js`);
      return [
        example.name,
        { types: messages, failure: failure === undefined ? `it was not reached. ${output}` : failure },
      ];
    }),
  );
}

/** The names that prelude.ts declares. */
const preludeNames = declaredNames(parse(readFileSync(join(here, 'prelude.ts'), 'utf8')));

function parse(text: string): ts.SourceFile {
  return ts.createSourceFile('example.ts', text, ts.ScriptTarget.ES2022, true);
}

/** The example behind imports of the names that it uses and does not declare, with its `// => value` comments as checks. */
function moduleOf(example: Example, sources: Sources): { readonly text: string; readonly headLines: number } {
  const source = parse(example.text);
  const own = declaredNames(source);
  const used = [...usedNames(source)].filter((name) => !own.has(name));
  const bySpecifier = new Map<string, string[]>();
  for (const name of used) {
    const specifier = specifierOf(name, example, sources);
    if (specifier === null) continue; // a global, or an error that the compiler reports
    bySpecifier.set(specifier, [...(bySpecifier.get(specifier) ?? []), name]);
  }
  const head = [...bySpecifier].map(([specifier, names]) => `import { ${names.join(', ')} } from '${specifier}';`);
  head.push(`import { same as same$ } from './same.ts';`);
  return { text: `${[...head, withChecks(source)].join('\n')}\nexport {};\n`, headLines: head.length + 1 };
}

/** Where a name comes from: the entry of the example's file, the other entries in the order of package.json, the prelude. */
function specifierOf(name: string, example: Example, sources: Sources): string | null {
  const ownFile = example.file.endsWith('.ts') && sources.fileExports(example.file).includes(name);
  const entries = [...sources.exports].filter(([, names]) => names.includes(name)).map(([specifier]) => specifier);
  const files = entryFiles();
  const ownEntry = entries.find(
    (specifier) => folderOf(relative(root, files.get(specifier)!)) === folderOf(example.file),
  );
  if (ownEntry !== undefined) return ownEntry;
  if (entries[0] !== undefined) return entries[0];
  if (preludeNames.has(name)) return './prelude.ts';
  // A symbol that is not public is imported from its file.
  return ownFile ? `../../dist/${example.file.replace(/\.ts$/, '.js')}` : null;
}

/** `src/nn` of `src/nn/layers.ts`; `kernels` of all of kernels/. */
function folderOf(file: string): string {
  const [room, inner] = file.split('/');
  return room === 'kernels' ? 'kernels' : `${room}/${inner}`;
}

/** Names that top-level statements declare or import. */
function declaredNames(source: ts.SourceFile): Set<string> {
  const names = new Set<string>();
  const addName = (name: ts.BindingName | undefined): void => {
    if (name === undefined) return;
    if (ts.isIdentifier(name)) names.add(name.text);
    else for (const element of name.elements) if (ts.isBindingElement(element)) addName(element.name);
  };
  for (const statement of source.statements) {
    if (ts.isVariableStatement(statement)) for (const { name } of statement.declarationList.declarations) addName(name);
    else if (ts.isFunctionDeclaration(statement) || ts.isClassDeclaration(statement)) addName(statement.name);
    else if (ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement)) addName(statement.name);
    else if (ts.isImportDeclaration(statement)) {
      const bindings = statement.importClause?.namedBindings;
      if (bindings === undefined) continue;
      if (ts.isNamespaceImport(bindings)) addName(bindings.name);
      else for (const { name } of bindings.elements) addName(name);
    }
  }
  return names;
}

/** Every identifier that may be a free one: not `b` of `a.b`, nor the `b` of `{ b: 1 }`. */
function usedNames(source: ts.SourceFile): Set<string> {
  const names = new Set<string>();
  const visit = (node: ts.Node): void => {
    const { parent } = node;
    const isMember =
      (ts.isPropertyAccessExpression(parent ?? node) && (parent as ts.PropertyAccessExpression).name === node) ||
      (ts.isPropertyAssignment(parent ?? node) && (parent as ts.PropertyAssignment).name === node);
    if (ts.isIdentifier(node) && !isMember) names.add(node.text);
    ts.forEachChild(node, visit);
  };
  ts.forEachChild(source, visit);
  return names;
}

/**
 * The text with `same$(...)` for each `// => value` behind a top-level expression or variable. Lines stay where they are.
 *
 * @throws Error for such a comment elsewhere, which would not be checked.
 */
function withChecks(source: ts.SourceFile): string {
  const { text } = source;
  let out = '';
  let copied = 0;
  let unchecked = text.split('// =>').length - 1;
  for (const statement of source.statements) {
    const [comment] = ts.getTrailingCommentRanges(text, statement.end) ?? [];
    if (comment === undefined) continue;
    const [, expected] = /^\/\/ => (.*)$/.exec(text.slice(comment.pos, comment.end)) ?? [];
    if (expected === undefined) continue;
    const value = expected.startsWith('tensor(') ? '' : `, () => (${expected})`;
    const check = (actual: string): string => `same$(${actual}, ${JSON.stringify(expected)}${value});`;
    if (ts.isExpressionStatement(statement)) {
      out += text.slice(copied, statement.getStart()) + check(statement.expression.getText());
    } else if (ts.isVariableStatement(statement)) {
      const { name } = statement.declarationList.declarations[0]!;
      out += `${text.slice(copied, statement.end)} ${check(name.getText())}`;
    } else continue;
    copied = statement.end;
    unchecked--;
  }
  if (unchecked !== 0) throw new Error(`"// => value" must stand behind a top-level statement, got ${text}`);
  return out + text.slice(copied);
}

interface Message {
  /** 1-based, in the module. */
  readonly line: number;
  readonly message: string;
}

/** Types of all modules in one program; JavaScript is written beside them. */
function compile(files: readonly string[]): Map<string, Message[]> {
  const config = ts.readConfigFile(`${root}tsconfig.json`, ts.sys.readFile).config as { compilerOptions: object };
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, root);
  // Imports of names used as types only are dropped: examples do not say `import type`, as the modules' heads are made for them.
  const rest = {
    declaration: false,
    verbatimModuleSyntax: false,
    isolatedModules: false,
    outDir: folder,
    rootDir: folder,
  };
  const program = ts.createProgram(files, { ...options, ...rest });
  const found = new Map<string, Message[]>();
  for (const { file, start, messageText } of ts.getPreEmitDiagnostics(program)) {
    const name = file === undefined ? '' : relative(folder, file.fileName);
    const line = file === undefined ? 0 : file.getLineAndCharacterOfPosition(start ?? 0).line + 1;
    const message = ts.flattenDiagnosticMessageText(messageText, '\n');
    // Not an example's: the package or the prelude is broken, and so is every test.
    if (!name.startsWith('example')) throw new Error(`${file?.fileName}:${line}: ${message}`);
    found.set(name, [...(found.get(name) ?? []), { line, message }]);
  }
  program.emit(undefined, (path, text) => {
    // A query makes the prelude a module of its own for each example.
    const example = relative(folder, path);
    writeFileSync(path, text.replaceAll(/(['"])\.\/prelude\.js\1/g, `'./prelude.js?for=${example}'`));
  });
  return found;
}

interface Run {
  /** By file. Modules behind one that ended the process, or never yielded, are absent. */
  readonly failures: ReadonlyMap<string, string | null>;
  /** What the process wrote to stderr. */
  readonly output: string;
}

/** Runs the modules in a process of their own. */
async function run(files: readonly string[]): Promise<Run> {
  const cwd = mkdtempSync(join(tmpdir(), 'shoal-docs-'));
  writeFileSync(join(cwd, 'train-images-idx3-ubyte'), idxFile([6, 28, 28]));
  writeFileSync(join(cwd, 'train-labels-idx1-ubyte'), idxFile([6]));
  const failures = new Map<string, string | null>();
  const child = fork(join(here, 'run.mjs'), [folder, ...files], { cwd, silent: true });
  const watchdog = setTimeout(() => child.kill('SIGKILL'), 30_000);
  child.on('message', (message) => {
    const { file, error } = message as { readonly file: string; readonly error: string | null };
    failures.set(file, error);
  });
  child.stdout?.resume();
  let output = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  await new Promise((resolve) => child.once('close', resolve));
  clearTimeout(watchdog);
  rmSync(cwd, { recursive: true, force: true });
  return { failures, output };
}

/** An idx file of small unsigned bytes. */
function idxFile(shape: readonly number[]): Uint8Array {
  const length = shape.reduce((product, size) => product * size, 1);
  const bytes = new Uint8Array(4 + 4 * shape.length + length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0x0800 + shape.length);
  for (const [i, size] of shape.entries()) view.setUint32(4 + 4 * i, size);
  for (let i = 0; i < length; i++) bytes[bytes.length - length + i] = i % 10;
  return bytes;
}
