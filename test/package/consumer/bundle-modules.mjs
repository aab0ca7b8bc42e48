/** Bundled by the test: names no built-in module, so nothing but the table holds Linear. */
import { moduleFromSpec } from 'shoal/nn';

const spec = { type: 'Linear', args: { inFeatures: 3, outFeatures: 1, bias: true } };
console.log((await moduleFromSpec(spec)).constructor.name);
