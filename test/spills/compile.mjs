/** Compiles the WebAssembly file that is its argument. */
import { readFileSync } from 'node:fs';

new WebAssembly.Module(readFileSync(process.argv[2]));
