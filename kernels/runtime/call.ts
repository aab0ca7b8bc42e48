/**
 * @file The ways to run a kernel: on pointers (tensors), on the reference (float64, tests), and on typed arrays (the public library). All
 * three are derived from the kernel's record.
 */
import { invariant, KernelError } from '../../src/errors.ts';
import type { Kernel, KernelArray, Round, ScratchParameter, Sizes } from '../define.ts';
import { crewSize, runShares, sharesFor } from './crew.ts';
import { type WasmFunction, type WasmInstance, wasm } from './instance.ts';
import { alignmentBytes, scratch } from './memory.ts';

/** Floating types that a reference computes in. */
export type ReferenceDType = 'float32' | 'float64';

interface Plan {
  /** The plan is for this instance: another memory has another. */
  readonly instance: WasmInstance;
  readonly run: WasmFunction;
  readonly valueCount: number;
  readonly scratch: ScratchParameter | undefined;
  /** Name and position of each size and flag, for computing lengths. */
  readonly sizes: readonly (readonly [name: string, index: number])[];
  /** Sizes by name and all arguments of the latest call: reused, because kernels are called some hundred times in a training step. */
  readonly latest: Record<string, number>;
  readonly args: number[];
}

const plans = new Map<Kernel, Plan>();
const identity: Round = (value) => value;
let referenceCalls = 0;

function planOf(kernel: Kernel): Plan {
  const known = plans.get(kernel);
  const instance = wasm();
  if (known !== undefined && known.instance === instance) return known;
  const run = instance.exports[kernel.name];
  invariant(run !== undefined, `kernel ${kernel.name} has a record but no WebAssembly export`);
  const values = kernel.parameters.filter((parameter) => parameter.kind !== 'scratch');
  const found = kernel.parameters.find((parameter) => parameter.kind === 'scratch');
  const sizes = values.flatMap(({ name, kind }, index) =>
    kind === 'size' || kind === 'flag' ? [[name, index] as const] : [],
  );
  const plan: Plan = {
    instance,
    run,
    valueCount: values.length,
    scratch: found?.kind === 'scratch' ? found : undefined,
    sizes,
    latest: Object.fromEntries(sizes.map(([name]) => [name, 0])),
    args: Array.from(kernel.parameters, () => 0),
  };
  plans.set(kernel, plan);
  return plan;
}

/** The sizes and flags among `values` (in contract order, without scratch), by name. */
export function sizesOf(kernel: Kernel, values: readonly unknown[]): Sizes {
  const sizes: Record<string, number> = {};
  kernel.parameters.forEach(({ name, kind }, index) => {
    if (kind === 'size' || kind === 'flag') sizes[name] = Number(values[index]);
  });
  return sizes;
}

/**
 * Runs the WebAssembly export on values in contract order: pointers for buffers (0 for an absent optional one), numbers for the rest; scratch
 * is appended here. Nothing is checked: the caller knows its pointers. May grow the memory when the kernel needs scratch.
 *
 * @throws KernelError `KERNEL` naming the kernel if it traps.
 */
export function callPointers(kernel: Kernel, values: readonly number[]): void {
  const plan = planOf(kernel);
  if (values.length !== plan.valueCount)
    invariant(false, `${kernel.name} takes ${plan.valueCount} values, got ${values.length}`);
  for (let i = 0; i < values.length; i++) plan.args[i] = values[i]!;
  let shares = 1;
  let work = 0;
  let stride = 0;
  if (plan.scratch !== undefined || kernel.work !== undefined) {
    for (let i = 0; i < plan.sizes.length; i++) plan.latest[plan.sizes[i]![0]] = values[plan.sizes[i]![1]]!;
    if (kernel.work !== undefined) {
      work = kernel.work(plan.latest);
      shares = sharesFor(work);
    }
    if (plan.scratch !== undefined) {
      const bytes = plan.scratch.bytes(plan.latest);
      stride = Math.ceil(bytes / alignmentBytes) * alignmentBytes;
      plan.args[values.length] = scratch(shares > 1 ? stride * crewSize() : bytes);
    }
  }
  try {
    if (shares > 1) runShares(kernel.name, plan.args, stride, shares, work);
    // Not `run(...args)`: spreading copies the array.
    else plan.run.apply(undefined, plan.args);
  } catch (cause) {
    if (cause instanceof KernelError) throw cause;
    const message = `${kernel.name}: the kernel must not trap, got "${String(cause)}". Check pointers and sizes against its contract.`;
    throw new KernelError('KERNEL', message, { kernel: kernel.name, values: [...values] }, cause);
  }
}

/**
 * Runs the reference in plain TypeScript on values in contract order, without scratch; an absent optional buffer is an empty array. At
 * `float32` the bits equal those of WebAssembly (float buffers must be Float32Arrays); at `float64` they are Float64Arrays.
 */
export function callReference(kernel: Kernel, dtype: ReferenceDType, values: readonly (KernelArray | number)[]): void {
  referenceCalls += 1;
  const isDouble = kernel.parameters.some((parameter) => 'type' in parameter && parameter.type === 'f64');
  const round = dtype === 'float32' && !isDouble ? Math.fround : identity;
  const rounded = values.map((value, index) =>
    kernel.parameters[index]?.kind === 'scalar' ? round(value as number) : value,
  );
  kernel.reference(round, ...(rounded as unknown as readonly (KernelArray & number)[]));
}

/**
 * How often a reference has run on this thread; training on float32 must leave it unchanged.
 *
 * @example
 * const before = referenceKernelCalls();
 * relu(tensor([-1, 2])); // float32: runs in WebAssembly
 * referenceKernelCalls() - before; // => 0
 */
export function referenceKernelCalls(): number {
  return referenceCalls;
}
