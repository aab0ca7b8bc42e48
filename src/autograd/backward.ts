/**
 * @file The backward pass: nodes in decreasing order of their number, which is a topological order, so there is no recursion and a chain of
 * 100,000 operations is fine. It also decides what happens to the memory of the graph that it consumes (DESIGN 5):
 *
 * - saved values that only the graph has seen are freed at once;
 * - results of operations (not leaves, not the root, nothing kept, nothing up to 4 KiB) are freed two backward passes later;
 * - everything made by gradient rules that is not a leaf's gradient is freed as soon as it has been used.
 */
import { isFloating } from '../dtype.ts';
import { AutogradError, ShapeError } from '../errors.ts';
import { withGrad } from '../ops/define.ts';
import { add } from '../ops/elementwise.ts';
import { standIn } from '../ops/movement.ts';
import { formatShape, sameShape } from '../shape.ts';
import { createStorage, endPass, freeStorage, viewOf } from '../tensor/arena.ts';
import { ones } from '../tensor/create.ts';
import type { BackwardContext, GraphNode, Tensors } from '../tensor/graph.ts';
import { currentScope, storageScope, storagesIn } from '../tensor/scope.ts';
import type { Storage } from '../tensor/storage.ts';
import { Tensor } from '../tensor/tensor.ts';

/** Options of `backward` and `grad`. */
export interface BackwardOptions {
  /** The gradient of the root, with its shape and dtype; needed unless the root has one element (then 1). */
  readonly gradient?: Tensor;
  /** Whether the gradients are themselves results that gradients flow through; default false. */
  readonly createGraph?: boolean;
  /** Whether the graph stays for another pass; default: `createGraph`. */
  readonly retainGraph?: boolean;
}

/** Where a gradient goes: the node that made a tensor, or a leaf. */
type Target = GraphNode | Tensor;

/** Results up to this size are not worth an error: they stay valid. */
const tinyBytes = 4096;

/** Results of the graphs consumed by the last two passes. */
let waiting: readonly [readonly Storage[], readonly Storage[]] = [[], []];

/**
 * Computes the gradient of `root` with respect to every leaf that requires one, and adds it to the leaf's `grad`. Consumes the graph unless it
 * is retained. When it throws, no `grad` has changed.
 *
 * @throws AutogradError if there is no graph, it was consumed, or a value that it needs was changed in place; @throws ShapeError if the root
 * has several elements and no gradient is given.
 * @see https://pytorch.org/docs/stable/generated/torch.Tensor.backward.html
 * @example
 * nn.functional.crossEntropy(net.forward(x), y).backward();
 * net.parameters()[0]!.grad!.shape; // => [8, 4]
 */
export function backward(root: Tensor, options: BackwardOptions = {}): void {
  const createGraph = options.createGraph ?? false;
  const found = run('backward', [root], [options.gradient], undefined, options);
  for (const [target, gradient] of found) {
    if (!(target instanceof Tensor)) continue;
    const old = target.gradient;
    const sum = old === undefined ? gradient : withGrad(createGraph, () => add(old.tensor, gradient));
    if (old !== undefined && !createGraph) {
      freeStorage(gradient.storage);
      if (!old.escaped) freeStorage(old.tensor.storage);
    }
    target.gradient = { tensor: sum, escaped: createGraph };
  }
}

/**
 * The gradients of `outputs` (summed, each weighted by `gradients[i]` or 1) with respect to `inputs`, which may be leaves or results. Changes no
 * `grad`. An input that the outputs do not depend on gets undefined.
 *
 * @throws AutogradError, ShapeError as `backward`.
 * @see https://pytorch.org/docs/stable/generated/torch.autograd.grad.html
 * @example
 * const t = tensor(3, { requiresGrad: true });
 * const [slope] = grad(t.square(), t, { createGraph: true });
 * grad(slope!, t)[0]; // => tensor(2, float32)
 */
export function grad(
  outputs: Tensor | readonly Tensor[],
  inputs: Tensor | readonly Tensor[],
  options: Omit<BackwardOptions, 'gradient'> & { readonly gradients?: readonly (Tensor | undefined)[] } = {},
): (Tensor | undefined)[] {
  const roots = outputs instanceof Tensor ? [outputs] : outputs;
  const wanted = inputs instanceof Tensor ? [inputs] : inputs;
  for (const input of wanted) {
    if (input.requiresGrad) continue;
    throw new AutogradError(
      'grad: inputs must require a gradient, got one that does not. Call requiresGrad_() before computing.',
    );
  }
  const targets = wanted.map(targetOf);
  const found = run('grad', roots, options.gradients ?? [], new Set(targets), options);
  return targets.map((target) => found.get(target));
}

function targetOf(tensor: Tensor): Target {
  return tensor.node ?? tensor;
}

/** Gradients by target: of all leaves, or of `wanted`. */
function run(
  op: string,
  roots: readonly Tensor[],
  gradients: readonly (Tensor | undefined)[],
  wanted: ReadonlySet<Target> | undefined,
  options: BackwardOptions,
): Map<Target, Tensor> {
  const createGraph = options.createGraph ?? false;
  const retainGraph = options.retainGraph ?? createGraph;
  const seeds = roots.map((root, i) => [root, checkSeed(op, root, gradients[i])] as const);
  const order = collect(op, roots, wanted);
  const pass = (): Map<Target, Tensor> => walk(order, seeds, wanted, createGraph, retainGraph);
  const found = createGraph ? withGrad(true, pass) : withGrad(false, () => storageScope(pass, storagesIn));
  if (!retainGraph) recycle(order, roots);
  return found;
}

function checkSeed(op: string, root: Tensor, gradient: Tensor | undefined): Tensor | undefined {
  if (!root.requiresGrad) {
    throw new AutogradError(
      `${op}: the root must depend on a tensor that requires a gradient, got one that does not. Set requiresGrad, or compute it outside noGrad().`,
    );
  }
  if (gradient === undefined) {
    if (root.size === 1) return undefined;
    throw new ShapeError(
      `${op}: the root must have one element unless a gradient is given, got ${formatShape(root.shape)}. Reduce it with sum() or mean().`,
      { shape: root.shape },
    );
  }
  if (!sameShape(gradient.shape, root.shape) || gradient.dtype !== root.dtype || !isFloating(gradient.dtype)) {
    throw new ShapeError(
      `${op}: the gradient must have the root's shape and dtype, got ${formatShape(gradient.shape)} ${gradient.dtype} for ` +
        `${formatShape(root.shape)} ${root.dtype}. Check the gradient.`,
      { gradient: gradient.shape, root: root.shape },
    );
  }
  return gradient;
}

/** All nodes that lead from the roots to a wanted target, last application first. */
function collect(op: string, roots: readonly Tensor[], wanted: ReadonlySet<Target> | undefined): GraphNode[] {
  const seen = new Set<GraphNode>();
  const stack = roots.flatMap((root) => (root.node === undefined ? [] : [root.node]));
  while (stack.length > 0) {
    const node = stack.pop()!;
    if (seen.has(node)) continue;
    seen.add(node);
    for (const edge of node.edges) if (edge !== undefined && !(edge instanceof Tensor)) stack.push(edge);
  }
  let order = [...seen].sort((a, b) => b.sequence - a.sequence);
  if (wanted !== undefined) {
    const leading = new Set<Target>(wanted);
    for (let i = order.length - 1; i >= 0; i--) {
      const node = order[i]!;
      if (node.edges.some((edge) => edge !== undefined && leading.has(edge))) leading.add(node);
    }
    order = order.filter(
      (node) => leading.has(node) && node.edges.some((edge) => edge !== undefined && leading.has(edge)),
    );
  }
  for (const node of order) checkUsable(op, node);
  return order;
}

function checkUsable(op: string, node: GraphNode): void {
  if (node.consumed) {
    throw new AutogradError(
      `${op}: the graph can be walked once, got the node of ${node.op.name} again. Pass { retainGraph: true } to the first pass, or detach() ` +
        'what is carried over from an earlier step.',
      { node: node.op.name },
    );
  }
  for (const { tensor, version } of [...node.saved, ...node.inputs]) {
    if (tensor.storage.version === version) continue;
    throw new AutogradError(
      `${op}: ${node.op.name} needs a value that was changed in place after it was used (version ${tensor.storage.version}, saved ${version}). ` +
        'Change it after backward(), or change a copy.',
      { node: node.op.name },
    );
  }
}

/** The gradients of one pass and how many holders each of their cells has, so that a cell is freed with its last holder. */
class Gradients {
  readonly #byTarget = new Map<Target, Tensor>();
  readonly #holders = new Map<Storage, number>();
  readonly #frees: boolean;

  constructor(frees: boolean) {
    this.#frees = frees;
  }

  add(target: Target, gradient: Tensor): void {
    this.#hold(gradient);
    const old = this.#byTarget.get(target);
    if (old === undefined) this.#byTarget.set(target, gradient);
    else {
      const sum = add(old, gradient);
      this.#hold(sum);
      this.#byTarget.set(target, sum);
      this.release(old);
      this.release(gradient);
    }
  }

  /** Removes and returns the gradient of a target; the caller then holds it. */
  take(target: Target): Tensor | undefined {
    const gradient = this.#byTarget.get(target);
    this.#byTarget.delete(target);
    return gradient;
  }

  release({ storage }: Tensor): void {
    const holders = this.#holders.get(storage)! - 1;
    if (holders > 0) this.#holders.set(storage, holders);
    else {
      this.#holders.delete(storage);
      // Cells from outside this pass (a given gradient, a saved tensor that a rule returned) belong to others.
      if (this.#frees && storage.scope === currentScope()) freeStorage(storage);
    }
  }

  #hold({ storage }: Tensor): void {
    this.#holders.set(storage, (this.#holders.get(storage) ?? 0) + 1);
  }
}

function walk(
  order: readonly GraphNode[],
  seeds: readonly (readonly [Tensor, Tensor | undefined])[],
  wanted: ReadonlySet<Target> | undefined,
  createGraph: boolean,
  retainGraph: boolean,
): Map<Target, Tensor> {
  const gradients = new Gradients(!createGraph);
  const results = new Set<Target>(wanted);
  const inOrder = new Set<Target>(order);
  for (const [root, given] of seeds) {
    gradients.add(targetOf(root), given ?? ones(root.shape, { dtype: root.dtype }));
    if (wanted === undefined && root.node === undefined) results.add(root);
  }
  for (const node of order) {
    const gradient = gradients.take(node);
    if (gradient === undefined) continue;
    const needs = node.edges.map(
      (edge) => edge !== undefined && (wanted === undefined || wanted.has(edge) || inOrder.has(edge)),
    );
    const found = inputGradients(node, gradient, needs, createGraph);
    node.edges.forEach((edge, i) => {
      const part = found[i];
      if (edge === undefined || part === undefined || !needs[i]) return;
      gradients.add(edge, part);
      if (wanted === undefined && edge instanceof Tensor) results.add(edge);
    });
    if (wanted?.has(node)) gradients.add(node, gradient);
    gradients.release(gradient);
    if (!retainGraph) for (const storage of node.hidden) if (!storage.kept) freeStorage(storage);
  }
  return collectResults(results, gradients, createGraph);
}

/** One node's rule, in a scope of its own, so that what it makes besides its result goes at once. */
function inputGradients(
  node: GraphNode,
  gradient: Tensor,
  needs: readonly boolean[],
  createGraph: boolean,
): readonly (Tensor | undefined)[] {
  if (createGraph && node.op.composed !== undefined) return throughComposed(node, gradient, needs);
  const context: BackwardContext<never> = {
    saved: node.saved.map(({ tensor }) => tensor) as unknown as Tensors,
    hidden: node.hidden,
    attributes: node.attributes as never,
    inputShapes: node.inputShapes,
    needs,
  };
  const rule = (): readonly (Tensor | undefined)[] => node.op.backward!(context, gradient);
  if (createGraph) return rule();
  return storageScope(rule, storagesOf);
}

function storagesOf(parts: readonly (Tensor | undefined)[]): Storage[] {
  const storages: Storage[] = [];
  for (const part of parts) if (part !== undefined) storages.push(part.storage);
  return storages;
}

/**
 * The rule of a fused operation that leaves a graph: its definition in other operations is applied to stand-ins of the inputs and
 * differentiated with respect to these. A stand-in is the input through an identity node: the result depends on the input through it, but
 * when one input was computed from another, the gradient of this one does not leak into that one.
 */
function throughComposed(
  node: GraphNode,
  gradient: Tensor,
  needs: readonly boolean[],
): readonly (Tensor | undefined)[] {
  const inputs = node.inputs.map(({ tensor }) => (tensor.requiresGrad ? standIn(tensor) : tensor));
  const wanted = inputs.filter((_, i) => needs[i]);
  const result = node.op.composed!(inputs as unknown as Tensors, node.attributes as never);
  const found = grad(result, wanted, { gradients: [gradient], createGraph: true });
  let next = 0;
  return inputs.map((_, i) => (needs[i] ? found[next++] : undefined));
}

function collectResults(targets: ReadonlySet<Target>, gradients: Gradients, createGraph: boolean): Map<Target, Tensor> {
  const results = new Map<Target, Tensor>();
  const taken = new Set<Storage>();
  for (const target of targets) {
    const gradient = gradients.take(target);
    if (gradient === undefined) continue;
    // Two leaves must not share a cell, nor one with the program: zeroGrad() of one would free the other's gradient.
    const own = createGraph || (gradient.storage.scope === currentScope() && !taken.has(gradient.storage));
    const result = own ? gradient : copyOf(gradient);
    taken.add(result.storage);
    results.set(target, result);
  }
  return results;
}

function copyOf(tensor: Tensor): Tensor {
  const storage = createStorage(tensor.dtype, tensor.size, 'backward');
  viewOf(storage, 'backward').set(viewOf(tensor.storage, 'backward'));
  return new Tensor(storage, tensor.shape);
}

/** Ends a pass that consumed its graph: marks the nodes, and frees what the pass before the last one left behind. */
function recycle(order: readonly GraphNode[], roots: readonly Tensor[]): void {
  const rootStorages = new Set(roots.map((root) => root.storage));
  const consumed: Storage[] = [];
  for (const node of order) {
    if (node.output !== undefined && node.output.bytes > tinyBytes && !rootStorages.has(node.output))
      consumed.push(node.output);
    node.consumed = true;
    node.edges = [];
    node.saved = [];
    node.inputs = [];
    node.hidden = [];
  }
  const [due, last] = waiting;
  waiting = [last, consumed];
  for (const storage of due) if (!storage.kept) freeStorage(storage);
  endPass();
}
