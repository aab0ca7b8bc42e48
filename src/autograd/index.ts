/** @file Gradients. */
export { type BackwardOptions, backward, grad } from './backward.ts';
export { type Checked, type GradcheckOptions, gradcheck, gradgradcheck } from './gradcheck.ts';
