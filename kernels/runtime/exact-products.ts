/** @file The check that the wide build has to pass before it is used: its products against the reference, bit for bit. */
import { gemm_f32 } from '../gemm.ts';
import type { CompiledModule, WasmApi } from './webassembly.ts';

/** Rows: two tiles and two more; columns: two wide tiles, a narrow one and a cut one; k: two blocks. */
const m = 10;
const n = 45;
const k = 300;

/**
 * V8 runs a function unoptimised first, and revectorises when it has run often enough: some 220 calls of a 4 x 8 tile of 256 steps. These runs
 * have 40 times as many steps, and take 10 to 20 ms.
 */
const runs = 400;

/** Whether products with wide tiles have the bits of the reference, on an instance of its own, before and after optimisation. */
export function productsAreExact(api: WasmApi, module: CompiledModule): boolean {
  const memory = new api.Memory({ initial: 16 });
  const { exports } = new api.Instance(module, { env: { memory } });
  exports.useWideTiles!(1);
  const a = 65_536;
  const b = a + 4 * m * k;
  const c = b + 4 * k * n;
  const scratch = (c + 4 * m * n + 63) & ~63;
  const [left, right] = [numbers(m * k, 1), numbers(k * n, 2)];
  new Float32Array(memory.buffer, a, m * k).set(left);
  new Float32Array(memory.buffer, b, k * n).set(right);
  const result = new Uint32Array(memory.buffer, c, m * n);
  const expected = new Float32Array(m * n);
  const reference = gemm_f32.reference as unknown as (...values: unknown[]) => void;
  reference(Math.fround, 0, 0, m, n, k, 1, left, k, right, n, 0, expected, n);
  const bits = new Uint32Array(expected.buffer);
  for (let run = 0; run < runs; run++) {
    result.fill(0);
    exports.gemm_f32!(0, 0, m, n, k, 1, a, k, b, n, 0, c, n, scratch);
    if (!bits.every((word, i) => word === result[i])) return false;
  }
  return true;
}

/** Numbers with full mantissas in [-1, 1), by a linear congruential walk. */
function numbers(length: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2_147_483_648 - 1;
  });
}
