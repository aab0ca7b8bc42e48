/** @file Every operation by name. The generic suites run over this table; a test fails if one has no samples. */
import type { AnyOp, Op } from '../tensor/graph.ts';
import * as activation from './activation.ts';
import * as conv from './conv.ts';
import * as elementwise from './elementwise.ts';
import * as gelu from './gelu.ts';
import * as indexing from './indexing.ts';
import * as linalg from './linalg.ts';
import * as loss from './loss.ts';
import * as movement from './movement.ts';
import * as normalize from './normalize.ts';
import * as pool from './pool.ts';
import * as random from './random.ts';
import * as reduce from './reduce.ts';
import * as special from './special.ts';

const families = [
  [
    elementwise.negOp,
    elementwise.expOp,
    elementwise.logOp,
    elementwise.sqrtOp,
    elementwise.squareOp,
    elementwise.reciprocalOp,
    elementwise.addOp,
    elementwise.subOp,
    elementwise.mulOp,
    elementwise.divOp,
    elementwise.addScalarOp,
    elementwise.mulScalarOp,
    elementwise.toOp,
  ],
  [
    activation.tanhOp,
    activation.tanhGradientOp,
    activation.reluOp,
    activation.reluGradientOp,
    activation.sigmoidOp,
    activation.absOp,
    activation.maximumOp,
  ],
  [
    special.erfOp,
    special.sinOp,
    special.cosOp,
    special.expm1Op,
    special.log1pOp,
    special.powOp,
    special.powScalarOp,
    gelu.geluOp,
    gelu.geluGradientOp,
    gelu.geluTanhOp,
    gelu.geluTanhGradientOp,
    gelu.siluOp,
    gelu.siluGradientOp,
    gelu.softplusOp,
  ],
  [movement.reshapeOp, movement.permuteOp, movement.expandOp],
  [reduce.sumOp, reduce.maxOp],
  [
    indexing.narrowOp,
    indexing.embedOp,
    indexing.catOp,
    indexing.indexSelectOp,
    indexing.indexAddOp,
    indexing.gatherOp,
    indexing.scatterOp,
  ],
  [linalg.matmulOp, linalg.batchedMatmulOp, linalg.linearOp],
  [conv.conv2dOp, conv.conv2dBackwardDataOp, conv.conv2dBackwardFilterOp],
  [pool.maxPool2dOp, pool.maxPool2dGradientOp],
  [normalize.logSoftmaxOp, normalize.logSoftmaxGradientOp],
  [loss.nllLossOp, loss.nllLossGradientOp, loss.crossEntropyOp, loss.crossEntropyGradientOp],
  [random.dropoutOp, random.maskOp],
] as unknown as readonly (readonly Op<never>[])[];

/** The operations by name. */
export const ops: ReadonlyMap<string, AnyOp> = new Map(families.flat().map((op) => [op.name, op]));
