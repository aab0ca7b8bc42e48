/**
 * @file Reads the sources with the TypeScript parser: which symbols are public (all that package.json exports), what their docstrings are, and
 * the examples in them and in markdown files.
 */
import { readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** A piece of documentation that shall run. */
export interface Example {
  /** `src/ops/reduce.ts sum`, or `README.md block 1`; unique. */
  readonly name: string;
  /** Path from the root of the repository. */
  readonly file: string;
  /** 1-based line of the first line of `text`. */
  readonly line: number;
  readonly text: string;
}

/** A name that users can import. */
export interface PublicSymbol {
  /** `shoal/nn Linear`, by the first entry that exports it. */
  readonly name: string;
  /** Callables (functions and classes) need an example; kernels are values, whose contract is their record. */
  readonly kind: 'callable' | 'value' | 'type';
  readonly hasDocstring: boolean;
  readonly hasExample: boolean;
  /** Public methods and accessors of a class without docstring, as `name.member`. */
  readonly bareMembers: readonly string[];
}

export interface Sources {
  readonly examples: readonly Example[];
  readonly symbols: readonly PublicSymbol[];
  /** Names of values and types by specifier: `shoal`, `shoal/nn`, ... */
  readonly exports: ReadonlyMap<string, readonly string[]>;
  /** Names that a source file exports, by its path from the root. */
  readonly fileExports: (file: string) => readonly string[];
}

/** Source file of each entry of package.json, by specifier; `shoal` comes first. */
export function entryFiles(): Map<string, string> {
  const manifest = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as {
    readonly exports: Readonly<Record<string, string | { readonly default: string }>>;
  };
  const files = new Map<string, string>();
  for (const [path, target] of Object.entries(manifest.exports)) {
    if (typeof target === 'string') continue; // ./package.json
    const source = target.default.replace(/^\.\/dist\//, root).replace(/\.js$/, '.ts');
    files.set(path.replace(/^\./, 'shoal'), source);
  }
  return files;
}

/** The sources that the entries reach, bound but not checked (`noLib`: types of the language are not needed for names and comments). */
export function readSources(): Sources {
  const entries = entryFiles();
  const options: ts.CompilerOptions = {
    noLib: true,
    types: [],
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    target: ts.ScriptTarget.ES2022,
    allowImportingTsExtensions: true,
    noEmit: true,
  };
  const program = ts.createProgram([...entries.values()], options);
  const checker = program.getTypeChecker();
  const exportsOf = (file: string): ts.Symbol[] => {
    const module = checker.getSymbolAtLocation(program.getSourceFile(file)!);
    return module === undefined ? [] : checker.getExportsOfModule(module);
  };

  const symbols: PublicSymbol[] = [];
  const seen = new Set<ts.Symbol>();
  const add = (specifier: string, exported: ts.Symbol, isTypeOnly: boolean): void => {
    const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
    if (seen.has(symbol)) return;
    seen.add(symbol);
    if ((symbol.flags & ts.SymbolFlags.ValueModule) === 0) {
      symbols.push(describe(`${specifier} ${exported.name}`, symbol, isTypeOnly));
      return;
    }
    // A namespace, such as nn.functional. Those of the root, nn and optim, are entries of their own, which name their symbols.
    const isEntry = symbol.declarations?.some((file) => [...entries.values()].includes(file.getSourceFile().fileName));
    if (isEntry) return;
    for (const inner of checker.getExportsOfModule(symbol)) add(`${specifier} ${exported.name}`, inner, isTypeOnly);
  };
  for (const [specifier, file] of entries) {
    const typesOnly = typesOnlyOf(program.getSourceFile(file)!, checker);
    for (const symbol of exportsOf(file)) add(specifier, symbol, typesOnly.has(symbol));
  }

  const files = program.getSourceFiles().filter(({ fileName }) => /^(src|kernels)\//.test(relative(root, fileName)));
  const examples = files.flatMap((file) => examplesOf(file, relative(root, file.fileName)));
  return {
    examples: numbered([...examples, ...['README.md', 'CONTRIBUTING.md'].flatMap(markdownExamples)]),
    symbols: symbols.sort((a, b) => (a.name < b.name ? -1 : 1)),
    exports: new Map([...entries].map(([specifier, file]) => [specifier, exportsOf(file).map(({ name }) => name)])),
    fileExports: (file) => exportsOf(`${root}${file}`).map(({ name }) => name),
  };
}

/** What `export type * from './x.ts'` lets through: functions among it cannot be imported as values. */
function typesOnlyOf(source: ts.SourceFile, checker: ts.TypeChecker): Set<ts.Symbol> {
  const found = new Set<ts.Symbol>();
  for (const statement of source.statements) {
    if (!ts.isExportDeclaration(statement) || !statement.isTypeOnly || statement.exportClause !== undefined) continue;
    const module = checker.getSymbolAtLocation(statement.moduleSpecifier!);
    for (const symbol of module === undefined ? [] : checker.getExportsOfModule(module)) found.add(symbol);
  }
  return found;
}

function describe(name: string, symbol: ts.Symbol, isTypeOnly: boolean): PublicSymbol {
  const declarations = symbol.declarations ?? [];
  const isType = isTypeOnly || (symbol.flags & ts.SymbolFlags.Value) === 0;
  const isArrow = declarations.some(
    (one) => ts.isVariableDeclaration(one) && one.initializer !== undefined && ts.isArrowFunction(one.initializer),
  );
  const isCallable = isArrow || (symbol.flags & (ts.SymbolFlags.Function | ts.SymbolFlags.Class)) !== 0;
  const comments = declarations.flatMap(docsOf);
  const members = declarations.filter(ts.isClassDeclaration).flatMap(({ members }) => [...members]);
  const bare = members.filter((member) => {
    const isCode = ts.isMethodDeclaration(member) || ts.isAccessor(member);
    const hidden = ts.ModifierFlags.Private | ts.ModifierFlags.Protected | ts.ModifierFlags.Override;
    const isPublic = (ts.getCombinedModifierFlags(member) & hidden) === 0;
    return isCode && isPublic && ts.isIdentifier(member.name) && docsOf(member).length === 0;
  });
  return {
    name,
    kind: isType ? 'type' : isCallable ? 'callable' : 'value',
    hasDocstring: comments.length > 0,
    hasExample: comments.some((doc) => doc.tags?.some(({ tagName }) => tagName.text === 'example')),
    bareMembers: [...new Set(bare.map((member) => `${name}.${(member.name as ts.Identifier).text}`))],
  };
}

/** The docstrings of a declaration; that of a variable stands before its statement. A `@file` headline is not one. */
function docsOf(declaration: ts.Declaration): ts.JSDoc[] {
  const node = ts.isVariableDeclaration(declaration) ? declaration.parent.parent : declaration;
  return jsDocs(node).filter((doc) => !doc.tags?.some(({ tagName }) => tagName.text === 'file'));
}

function jsDocs(node: ts.Node): ts.JSDoc[] {
  return (ts.getJSDocCommentsAndTags(node) as readonly ts.Node[]).filter(ts.isJSDoc);
}

/** Every `@example` of a file, in order. */
function examplesOf(source: ts.SourceFile, file: string): Example[] {
  const examples: Example[] = [];
  const visited = new Set<ts.JSDoc>();
  const visit = (node: ts.Node): void => {
    const docs = (node as { readonly jsDoc?: readonly ts.JSDoc[] }).jsDoc ?? [];
    for (const doc of docs.filter((one) => !visited.has(one))) {
      visited.add(doc);
      for (const tag of doc.tags ?? []) {
        if (tag.tagName.text !== 'example') continue;
        examples.push({ name: `${file} ${nameOf(node)}`, file, ...textOf(source, doc, tag) });
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return examples;
}

/** The text behind `@example` up to the next tag or the end of the comment, without the stars. */
function textOf(
  source: ts.SourceFile,
  doc: ts.JSDoc,
  tag: ts.JSDocTag,
): { readonly line: number; readonly text: string } {
  const tags = doc.tags!;
  const next = tags[tags.indexOf(tag) + 1];
  const start = tag.tagName.getEnd();
  const lines = source.text.slice(start, next === undefined ? doc.end - 2 : next.pos).split('\n');
  const line = source.getLineAndCharacterOfPosition(start).line + 1;
  const stripped = lines.map((text, i) => (i === 0 ? text.trim() : text.replace(/^\s*\* ?/, '').trimEnd()));
  return stripped[0] === ''
    ? { line: line + 1, text: stripped.slice(1).join('\n') }
    : { line, text: stripped.join('\n') };
}

/** `sum`, `Dataset.map`; `file` for a headline. */
function nameOf(node: ts.Node): string {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return 'file';
  if (ts.isVariableStatement(node))
    return node.declarationList.declarations.map(({ name }) => name.getText()).join(', ');
  const own = (node as { readonly name?: ts.Node }).name?.getText() ?? ts.SyntaxKind[node.kind];
  return ts.isClassLike(node.parent) ? `${node.parent.name?.text}.${own}` : own;
}

/** The TypeScript blocks of a markdown file. */
function markdownExamples(file: string): Example[] {
  const text = readFileSync(`${root}${file}`, 'utf8');
  return [...text.matchAll(/^```(?:ts|typescript)\n(.*?)^```$/gms)].map((match) => ({
    name: `${file} block`,
    file,
    line: text.slice(0, match.index).split('\n').length + 1,
    text: match[1]!,
  }));
}

/** A second example of the same name gets ` 2` behind it. */
function numbered(examples: readonly Example[]): Example[] {
  const counts = new Map<string, number>();
  return examples.map((example) => {
    const count = (counts.get(example.name) ?? 0) + 1;
    counts.set(example.name, count);
    return count === 1 ? example : { ...example, name: `${example.name} ${count}` };
  });
}
