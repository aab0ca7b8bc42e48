/** @file `shoal/models`: networks from the literature. */
import '../install.ts';

export { lenet5 } from './lenet.ts';
