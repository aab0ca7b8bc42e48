/**
 * NCHW against NHWC (docs/adr/0002-layout.md): convolution forward, backward-data and backward-filter on the same register tile, checked
 * against each other and timed in turns. GFLOP/s of useful work (2 * n * o * ho * wo * c * kh * kw), the same count for all three.
 */
import { fileURLToPath } from 'node:url';
import { permute } from './data.mjs';
import { compile, interleave, row } from './measure.mjs';

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));
const megabyte = 1 << 20;
const at = {
  scratch: 2 * megabyte,
  x: 40 * megabyte,
  weight: 60 * megabyte,
  y: 64 * megabyte,
  gradX: 84 * megabyte,
  gradWeight: 104 * megabyte,
};

const shapes = [
  { name: 'LeNet conv1, 16 images', n: 16, c: 1, h: 28, o: 6, kernel: 5, stride: 1, padding: 2 },
  { name: 'LeNet conv2, 16 images', n: 16, c: 6, h: 14, o: 16, kernel: 5, stride: 1, padding: 0 },
  { name: '3x3x64 at 56', n: 1, c: 64, h: 56, o: 64, kernel: 3, stride: 1, padding: 1 },
  { name: 'first layer 7x7 s2, C 3, 224', n: 1, c: 3, h: 224, o: 64, kernel: 7, stride: 2, padding: 3 },
  { name: 'first layer 3x3, C 3, 112', n: 1, c: 3, h: 112, o: 32, kernel: 3, stride: 1, padding: 1 },
];

/** Depthwise, 3x3, padding 1. */
const depthwise = [
  { name: 'depthwise 3x3, 64 channels at 56', c: 64, h: 56, stride: 1 },
  { name: 'depthwise 3x3 s2, 64 channels at 56', c: 64, h: 56, stride: 2 },
  { name: 'depthwise 3x3, 256 channels at 14', c: 256, h: 14, stride: 1 },
  { name: 'depthwise 3x3 s2, 256 channels at 14', c: 256, h: 14, stride: 2 },
];

function assertClose(what, actual, expected) {
  const scale = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const worst = actual.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i])), 0);
  if (!(worst <= 1e-4 * scale)) throw new Error(`${what}: layouts differ by ${worst} of ${scale}`);
}

/** Prints rates of rows that take turns, and returns them. */
function measure(rows, seconds) {
  const results = interleave(rows, seconds);
  for (const { name, best, median } of results) {
    console.log(
      `${name.padEnd(52)} best ${best.toFixed(1).padStart(5)}  median ${median.toFixed(1).padStart(5)} GFLOP/s`,
    );
  }
  return results;
}

function depthwiseRows({ name, c, h, stride }, nchw, nhwc) {
  const view = (side, pointer, length) => new Float32Array(side.memory.buffer, pointer, length);
  const ho = Math.floor((h - 1) / stride) + 1;
  const x = Float32Array.from({ length: c * h * h }, (_, i) => Math.sin(i));
  const weight = Float32Array.from({ length: c * 9 }, (_, i) => Math.cos(i));
  const y = Float32Array.from({ length: c * ho * ho }, (_, i) => Math.sin(3 * i));
  view(nchw, at.x, x.length).set(x);
  view(nhwc, at.x, x.length).set(permute(x, [1, c, h, h], [0, 2, 3, 1]));
  view(nchw, at.weight, weight.length).set(weight);
  view(nhwc, at.weight, weight.length).set(permute(weight, [c, 1, 3, 3], [2, 3, 1, 0]));
  view(nchw, at.y, y.length).set(y);
  view(nhwc, at.y, y.length).set(permute(y, [1, c, ho, ho], [0, 2, 3, 1]));
  const sizes = [1, c, h, h, c, 3, 3, stride, stride, 1, 1, 1, 1, c, at.scratch];
  const small = [1, c, h, h, stride, at.scratch];
  const left = () => nchw.exports.conv2d_f32_forward(at.x, at.weight, 0, at.gradX, ...sizes);
  const right = () => nhwc.exports.depthwiseForward(at.x, at.weight, at.gradX, ...small);
  const leftFilter = () => nchw.exports.conv2d_f32_backward_filter(at.x, at.y, at.gradWeight, ...sizes);
  const rightFilter = () => nhwc.exports.depthwiseFilter(at.x, at.y, at.gradWeight, ...small);
  for (const run of [left, right, leftFilter, rightFilter]) run();
  const forward = permute(view(nchw, at.gradX, y.length), [1, c, ho, ho], [0, 2, 3, 1]);
  assertClose(`${name}, forward`, view(nhwc, at.gradX, y.length), forward);
  const filter = permute(view(nchw, at.gradWeight, weight.length), [c, 1, 3, 3], [2, 3, 1, 0]);
  assertClose(`${name}, backward-filter`, view(nhwc, at.gradWeight, weight.length), filter);
  const work = 18 * c * ho * ho;
  return [
    row(`${name}: forward NCHW`, work, left),
    row(`${name}: forward NHWC`, work, right),
    row(`${name}: backward-filter NCHW`, work, leftFilter),
    row(`${name}: backward-filter NHWC`, work, rightFilter),
  ];
}

/** @param {{ seconds: number }} options seconds per shape */
export default function layout({ seconds }) {
  const nchw = compile('assembly/conv.ts', 2000);
  const nhwc = compile(path('./assembly/nhwc.ts'), 2000);
  const view = (side, pointer, length) => new Float32Array(side.memory.buffer, pointer, length);
  const results = [];
  for (const { name, n, c, h, o, kernel, stride, padding } of shapes) {
    const ho = Math.floor((h + 2 * padding - kernel) / stride) + 1;
    const x = Float32Array.from({ length: n * c * h * h }, (_, i) => Math.sin(i));
    const weight = Float32Array.from({ length: o * c * kernel * kernel }, (_, i) => Math.cos(i));
    const y = Float32Array.from({ length: n * o * ho * ho }, (_, i) => Math.sin(3 * i));
    const sizes = [n, c, h, h, o, kernel, kernel, stride, stride, padding, padding, 1, 1, 1, at.scratch];
    const fill = (chw) => {
      view(chw ? nchw : nhwc, at.x, x.length).set(chw ? x : permute(x, [n, c, h, h], [0, 2, 3, 1]));
      view(chw ? nchw : nhwc, at.weight, weight.length).set(
        chw ? weight : permute(weight, [o, c, kernel, kernel], [2, 3, 1, 0]),
      );
      view(chw ? nchw : nhwc, at.y, y.length).set(chw ? y : permute(y, [n, o, ho, ho], [0, 2, 3, 1]));
    };
    const work = 2 * n * o * ho * ho * c * kernel * kernel;
    const pairs = [
      [
        'forward',
        () => nchw.exports.conv2d_f32_forward(at.x, at.weight, 0, at.gradX, ...sizes),
        () => nhwc.exports.forward(at.x, at.weight, at.gradX, n, c, h, h, o, kernel, stride, padding, at.scratch),
        at.gradX,
        [n, o, ho, ho],
        [0, 2, 3, 1],
      ],
      [
        'backward-data',
        () => nchw.exports.conv2d_f32_backward_data(at.y, at.weight, at.gradX, ...sizes),
        stride > 1
          ? undefined
          : () => nhwc.exports.backwardData(at.y, at.weight, at.gradX, n, c, h, h, o, kernel, padding, at.scratch),
        at.gradX,
        [n, c, h, h],
        [0, 2, 3, 1],
      ],
      [
        'backward-filter',
        () => nchw.exports.conv2d_f32_backward_filter(at.x, at.y, at.gradWeight, ...sizes),
        () =>
          nhwc.exports.backwardFilter(at.x, at.y, at.gradWeight, n, c, h, h, o, kernel, stride, padding, at.scratch),
        at.gradWeight,
        [o, c, kernel, kernel],
        [2, 3, 1, 0],
      ],
    ];
    const rows = [];
    fill(true);
    fill(false);
    for (const [what, left, right, pointer, shape, order] of pairs) {
      left();
      right?.();
      const length = shape.reduce((a, b) => a * b);
      if (right)
        assertClose(
          `${name}, ${what}`,
          view(nhwc, pointer, length),
          permute(view(nchw, pointer, length), shape, order),
        );
      rows.push(row(`${name}: ${what} NCHW`, work, left));
      if (right) rows.push(row(`${name}: ${what} NHWC`, work, right));
    }
    results.push(...measure(rows, seconds));
  }
  const channels = compile(path('./assembly/nhwc-depthwise.ts'), 2000);
  for (const shape of depthwise) results.push(...measure(depthwiseRows(shape, nchw, channels), seconds));
  return results;
}
