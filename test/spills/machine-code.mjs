/**
 * The machine code that V8's optimising compiler makes of a binary, read from `node --no-liftoff --no-wasm-lazy-compilation --print-wasm-code` (release builds
 * of Node have it), and what it says about the innermost loops: instructions, arithmetic, and moves between registers and the stack. One
 * spilled accumulator halves a kernel.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const flags = ['--no-liftoff', '--no-wasm-lazy-compilation', '--print-wasm-code'];
const compile = fileURLToPath(new URL('compile.mjs', import.meta.url));

/** The names of a binary's functions by index, from its text form: the binary itself has none. */
export function functionNames(wat) {
  return [...readFileSync(wat, 'utf8').matchAll(/^ \(func \$(\S+)/gm)].map(([, name]) => name);
}

/** @returns {{ index: number, instructions: { address: number, text: string }[] }[]} */
export function disassemble(node, wasm, more = []) {
  const output = execFileSync(node, [...flags, ...more, compile, wasm], { encoding: 'utf8', maxBuffer: 1 << 28 });
  return output.split('--- WebAssembly code ---').flatMap((part) => {
    const index = /^index: (\d+)$/m.exec(part);
    if (index === null) return [];
    const lines = part.matchAll(/^0x([0-9a-f]+)\s+[0-9a-f]+\s+[0-9a-f]+\s+(\S.*)$/gm);
    return [
      {
        index: Number(index[1]),
        instructions: [...lines].map(([, at, text]) => ({ address: parseInt(at, 16), text })),
      },
    ];
  });
}

/**
 * Loops that contain no other: from the target of a jump backwards to the jump. A range with a return or a call in it is none: either an outer loop, or
 * rare code behind the function (a stack check that calls out, with all registers saved) going back to where it came from.
 */
function innermostLoops(instructions) {
  const first = instructions[0]?.address ?? 0;
  const ranges = instructions.flatMap(({ address, text }) => {
    const target = /^j\w+ 0x([0-9a-f]+)/.exec(text);
    const start = target ? parseInt(target[1], 16) : Number.POSITIVE_INFINITY;
    return start <= address && start >= first ? [{ start, end: address }] : [];
  });
  const leaving = instructions.filter(({ text }) => /^ret|call/.test(text)).map(({ address }) => address);
  const isWhole = ({ start, end }) => !leaving.some((address) => address > start && address < end);
  return innermost(ranges.filter(isWhole));
}

function innermost(loops) {
  return loops.filter(
    (outer) => !loops.some((inner) => inner !== outer && inner.start >= outer.start && inner.end <= outer.end),
  );
}

/** A loop in numbers. `products` are packed multiplications or fused ones; `vectorSpills` and `scalarSpills` use the stack; `isWide`: at 256 bits. */
function describe(body) {
  const count = (pattern) => body.filter(({ text }) => pattern.test(text)).length;
  return {
    instructions: body.length,
    products: count(/^v(mulp[sd]|fn?m(add|sub)\d+p[sd]) /),
    sums: count(/^v(addp[sd]) /),
    loads: count(/^v(movdqu|movups|movss|broadcastss|movd) [xy]mm\d+,\[(?!rbp)/),
    vectorSpills: count(/[xy]mm.*\[rbp|\[rbp.*[xy]mm/),
    scalarSpills: count(/^(?!.*[xy]mm).*\[rbp/),
    shuffles: count(/^v(shufps|perm|palignr|punpck|unpck|pshuf|insertps|blend)/),
    moves: count(/^v(movaps|movdqa|movdqu|movups) [xy]mm\d+,[xy]mm\d+/),
    isWide: body.some(({ text }) => /ymm/.test(text)),
  };
}

/** The innermost loops with at least `products` multiplications, by function. */
export function hotLoops(functions, names, products) {
  return functions.flatMap(({ index, instructions }) =>
    innermostLoops(instructions)
      .map(({ start, end }) => describe(instructions.filter(({ address }) => address >= start && address <= end)))
      .filter((loop) => loop.products >= products)
      .map((loop) => ({ name: names[index] ?? `function ${index}`, ...loop })),
  );
}
