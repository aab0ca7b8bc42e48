/**
 * No hot loop of a product or a convolution may move a vector to the stack on Node 24: one spilled accumulator halves a kernel, and neither bits nor
 * sizes show it. Reads V8's machine code, so it needs that very Node (test/runtimes: `npm ci` there) and a build. Part of `npm run test:long`.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

interface HotLoop {
  readonly name: string;
  readonly instructions: number;
  readonly products: number;
  readonly sums: number;
  readonly shuffles: number;
  readonly vectorSpills: number;
  readonly scalarSpills: number;
  readonly isWide: boolean;
}
interface MachineCode {
  functionNames(wat: string): readonly string[];
  disassemble(node: string, wasm: string, flags?: readonly string[]): readonly object[];
  hotLoops(functions: readonly object[], names: readonly string[], products: number): readonly HotLoop[];
}

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
const node24 = path('../runtimes/node_modules/node24/bin/node');
const node26 = path('../runtimes/node_modules/node26/bin/node');
const [wasm, wat] = [path('../../build/strict.wasm'), path('../../build/strict.wat')];
const isAsked = process.env.SHOAL_SPILLS !== undefined;

/** At 128 bits the tiles of the wide build do not fit into the 15 registers; there they do not run. */
const onlyWide = ['wide-tile/widePackedTile', 'wide-tile/wideTile'];
/**
 * Addresses that a loop reads back from the stack: measured, and not to grow (8 in the mirrored depthwise loop, which V8 unrolls three times). They
 * cost a load each, where a spilled sum costs the chain.
 */
const mostScalarSpills = 8;

/** Loops that add products up: as many sums as products, at least eight of each. */
async function accumulating(node: string, flags: readonly string[] = []): Promise<readonly HotLoop[]> {
  const code = (await import(/* @vite-ignore */ path('machine-code.mjs'))) as MachineCode;
  const found = code.hotLoops(code.disassemble(node, wasm, flags), code.functionNames(wat), 8);
  return found.filter(
    ({ name, products, sums }) => sums >= products && !/assembly\/(map|softmax|update|normalize)\//.test(name),
  );
}

const shortName = ({ name }: HotLoop): string => name.replace('assembly/', '');

it.skipIf(!isAsked || !existsSync(node24))('hot loops stay in registers on Node 24', async () => {
  const loops = await accumulating(node24);
  expect(loops.map(shortName)).toEqual(
    expect.arrayContaining(['tile/tile', 'packed-tile/packedTile', 'tile/tapTile', 'tile/halfTile']),
  );
  const running = loops.filter((loop) => !onlyWide.includes(shortName(loop)));
  expect(running.filter(({ vectorSpills }) => vectorSpills > 0)).toEqual([]);
  expect(running.filter(({ scalarSpills }) => scalarSpills > mostScalarSpills)).toEqual([]);
  // Four steps, whose shuffles only keep products and sums in order (assembly/vector.ts), with an addition each; the sums of the start of memory and an offset are made
  // before the loop (assembly/packed-tile.ts), else there were 108.
  const packed = running.find((loop) => shortName(loop) === 'packed-tile/packedTile');
  expect(packed).toMatchObject({ products: 32, sums: 32, shuffles: 0 });
  expect(packed?.instructions).toBeLessThan(107);
});

it.skipIf(!isAsked || !existsSync(node26))(
  'the wide tiles are fused to 256 bits on Node 26, and stay in registers',
  async () => {
    const loops = await accumulating(node26, ['--experimental-wasm-revectorize']);
    const wide = loops.filter((loop) => onlyWide.includes(shortName(loop)));
    expect([...new Set(wide.map(shortName))].sort()).toEqual(onlyWide);
    for (const loop of wide) expect(loop).toMatchObject({ isWide: true, vectorSpills: 0 });
    // Four steps: 32 operations of 256 bits twice, 24 loads, an addition a step, and 13 for the loop; with rows of A apart it is 94 for three steps.
    const fourSteps = wide.find((loop) => shortName(loop) === 'wide-tile/widePackedTile' && loop.products === 32);
    expect(fourSteps?.instructions).toBeLessThan(108);
  },
);
