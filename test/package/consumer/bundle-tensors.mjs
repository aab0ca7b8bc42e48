/** Bundled by the test: methods of tensors come from a module that nothing names. */
import { tensor } from 'shoal';

console.log(tensor([1, 2]).sum().item());
