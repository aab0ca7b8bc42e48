/** What goes over its data once: functions of each element, softmax, norms, optimizers, pooling, lookups, transposes. Beside a copy of the same mix. */

const unary = ['exp', 'sigmoid', 'tanh'].map((name) => ({
  name: `${name} 4096`,
  work: { op: 'unary', name, length: 4096 },
}));

/** In training with the places of the largest, in inference without. */
const maxPools = (sizes, name) => [
  { name, work: { op: 'maxPool', places: true, ...sizes } },
  { name: `${name}, no gradient`, work: { op: 'maxPool', places: false, ...sizes } },
];

/** @type {import('./suite.mjs').Row[]} */
export const rows = [
  ...unary,
  { name: 'gelu 4096', work: { op: 'unary', name: 'gelu', length: 4096 } },
  { name: 'gelu with tanh 4096', work: { op: 'unary', name: 'gelu_tanh', length: 4096 } },
  { name: 'softmax 512x1000', work: { op: 'softmax', rows: 512, columns: 1000 } },
  { name: 'softmax 10 M', work: { op: 'softmax', rows: 10_000, columns: 1000 } },
  { name: 'layer norm 512x768', work: { op: 'layerNorm', rows: 512, columns: 768 } },
  { name: 'layer norm 10 M', work: { op: 'layerNorm', rows: 10_240, columns: 1024 } },
  { name: 'adam 10 M', work: { op: 'adam', length: 10_000_000 } },
  ...maxPools({ planes: 64, h: 56, kernel: 2, stride: 2 }, 'max pool 2x2 64 at 56'),
  ...maxPools({ planes: 64, h: 112, kernel: 3, stride: 2 }, 'max pool 3x3 s2 64 at 112'),
  { name: 'average pool 2x2 64 at 56', work: { op: 'averagePool', planes: 64, h: 56, kernel: 2, stride: 2 } },
  { name: 'embedding 8192 of 50000x64', work: { op: 'embedding', vocabulary: 50_000, count: 8192, columns: 64 } },
  {
    name: 'embedding gradient 8192 of 50000x64',
    work: { op: 'embeddingGradient', vocabulary: 50_000, count: 8192, columns: 64 },
  },
  { name: 'transpose 1024x1024', work: { op: 'transpose', m: 1024, n: 1024 } },
  { name: 'transpose 100x77', work: { op: 'transpose', m: 100, n: 77 } },
];
