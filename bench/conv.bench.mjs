/** Convolutions and their gradients; those of 3x3 beside a matrix product of 512, whose rate is what they can hope for. */

const whats = ['forward', 'backward-data', 'backward-filter'];
const gemm512 = { 'gemm NN 512': { op: 'gemm', m: 512, n: 512, k: 512 } };
const sizes = [
  { c: 32, h: 56 },
  { c: 64, h: 56 },
  { c: 32, h: 28 },
  { c: 64, h: 28 },
];

const square = sizes.flatMap(({ c, h }) =>
  whats.map((what) => ({
    name: `conv 3x3 ${c} at ${h} ${what}`,
    work: { op: 'conv', what, c, h, o: c },
    against: gemm512,
  })),
);

const other = whats.flatMap((what) => [
  { name: `conv 1x1 512 at 7 ${what}`, work: { op: 'conv', what, c: 512, h: 7, o: 512, kernel: 1, padding: 0 } },
  { name: `conv 3x3 s2 64 at 56 ${what}`, work: { op: 'conv', what, c: 64, h: 56, o: 64, stride: 2 } },
]);

/** The direct convolution beside each: "to direct" is the ratio. Flops are counted as if they were direct, so they pass the roofline. */
const winograd = [4, 2].flatMap((tile) =>
  [...whats, 'all'].map((what) => ({
    name: `winograd F(${tile}x${tile}) 3x3 64 at 56 ${what === 'all' ? 'forward + backward' : what}`,
    work: { op: 'winograd', what, c: 64, h: 56, o: 64, tile },
    against: { direct: { op: 'conv', what, c: 64, h: 56, o: 64 } },
  })),
);

const depthwise = [
  { c: 64, h: 56 },
  { c: 256, h: 14 },
].flatMap(({ c, h }) =>
  [1, 2].flatMap((stride) =>
    whats.map((what) => ({
      name: `depthwise 3x3 ${stride === 2 ? 's2 ' : ''}${c} at ${h} ${what}`,
      work: { op: 'conv', what, c, h, o: c, groups: c, stride },
    })),
  ),
);

/** @type {import('./suite.mjs').Row[]} */
export const rows = [
  ...square,
  { name: 'conv 3x3 64 at 56 forward + backward', work: { op: 'conv', what: 'all', c: 64, h: 56, o: 64 } },
  {
    name: 'conv 7x7 s2 3 at 224 forward',
    work: { op: 'conv', what: 'forward', c: 3, h: 224, o: 64, kernel: 7, stride: 2, padding: 3 },
  },
  ...other,
  ...winograd,
  ...depthwise,
];
