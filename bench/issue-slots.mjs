/**
 * `node bench/issue-slots.mjs` (x64, Linux, needs gcc): cycles that an x64 processor takes for small groups of the instructions that the kernels' hot loops are made of, each group
 * 24 times in a loop, independent of one another but for what is written `>`. What docs/performance.md says a processor can do at most comes from here.
 * A cycle is measured beside it: an addition of integers that waits for the one before. Best of 2,000 runs of some microseconds.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const load = 'vmovdqu xmm{a},[rdi+{at}]';
const product = 'vmulps xmm{b},xmm15,xmm15';
const sum = 'vaddps xmm{c},xmm15,xmm15';
const shuffle = 'vshufps xmm{a},xmm15,xmm15,0x88';
const address = 'lea r8d,[r9+4]';
const chain = ['vmulps xmm{a},xmm15,xmm{a}', 'vaddps xmm{a},xmm15,xmm{a}'];
/** A step of the tile of assembly/packed-tile.ts. */
const tileStep = [
  'vmovdqu xmm8,[rdi+{at}+512]',
  'vmovdqu xmm9,[rdi+{at}+528]',
  ...[0, 1, 2, 3].flatMap((r) => [
    `vbroadcastss xmm10,[rdi+{at}+${4 * r}]`,
    'vmulps xmm11,xmm10,xmm8',
    'vmulps xmm10,xmm10,xmm9',
    `vaddps xmm${2 * r},xmm${2 * r},xmm11`,
    `vaddps xmm${2 * r + 1},xmm${2 * r + 1},xmm10`,
  ]),
  address,
];
const groups = {
  load: [load],
  store: ['vmovdqu [rdi+{at}],xmm15'],
  shuffle: [shuffle],
  division: ['vdivps xmm{a},xmm15,xmm15'],
  'product, sum': [product, sum],
  'load > product > sum': [load, ...chain],
  'load across lines > product > sum': [load.replace('{at}', '{at}+4'), ...chain],
  'load, 2 products, 2 sums': [load, product, sum, product, sum],
  'load, product, sum, address': [load, product, sum, address],
  'load, product, sum, 2 addresses': [load, product, sum, address, 'lea r10d,[r9+8]'],
  'product, sum, shuffle': [product, sum, shuffle],
  '6 loads, 4 x (2 products > 2 sums), address': tileStep,
  // What a row of the source costs a depthwise convolution with stride 2.
  '3 loads, 3 shuffles, 3 products, 3 sums': [load, load, load, ...[0, 1, 2].flatMap(() => [shuffle, product, sum])],
};
const repeats = 24;

/** A function that runs a group `repeats` times in each of n turns. Registers rotate, so that nothing waits for an earlier group. */
function functionOf(group, index) {
  const lines = Array.from({ length: repeats }, (_, i) => {
    const values = { a: i % 5, b: 5 + (i % 5), c: 10 + (i % 5), at: 16 * i };
    return group.map((line) => line.replace(/\{(\w+)\}/g, (_match, name) => values[name]));
  });
  const registers = Array.from({ length: 16 }, (_, i) => `"xmm${i}"`).join();
  const code = [
    'mov ecx,%0',
    'mov rdi,%1',
    'vxorps xmm15,xmm15,xmm15',
    '.p2align 6',
    '2:',
    ...lines.flat(),
    'sub ecx,1',
    'jnz 2b',
  ];
  const text = ['.intel_syntax noprefix', ...code, '.att_syntax prefix', ''].join('\\n');
  return `static void f${index}(int n) { asm volatile("${text}" :: "r"(n), "r"(bytes) : "rdi", "rcx", "r8", "r10", "memory", ${registers}); }`;
}

const entries = Object.entries(groups);
const source = `
#include <stdio.h>
#include <time.h>
static char bytes[1 << 16] __attribute__((aligned(4096)));
static double now() { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + 1e-9 * t.tv_nsec; }
static void cycles(int n) { long x = 0; while (n--) asm volatile("${'add $1,%0\\n'.repeat(10)}" : "+r"(x)); }
${entries.map(([, group], index) => functionOf(group, index)).join('\n')}
static void (*functions[])(int) = { ${entries.map((_, index) => `f${index}`).join()} };
int main() {
  for (int i = 0; i < ${entries.length}; i++) {
    double cycle = 1, best = 1;
    for (int run = 0; run < 2000; run++) {
      double start = now(); cycles(1000); double took = (now() - start) / 1e4;
      if (took < cycle) cycle = took;
      start = now(); functions[i](200); took = (now() - start) / (200 * ${repeats});
      if (took < best) best = took;
    }
    printf("%.3f %.2f\\n", best / cycle, 1e-9 / cycle);
  }
}`;

const folder = mkdtempSync(join(tmpdir(), 'issue-slots-'));
try {
  const program = join(folder, 'slots');
  writeFileSync(`${program}.c`, source);
  execFileSync('gcc', ['-O2', `${program}.c`, '-o', program]);
  const lines = execFileSync(program, { encoding: 'utf8' }).trim().split('\n');
  entries.forEach(([name, group], index) => {
    const [cycles, gigahertz] = lines[index].split(' ').map(Number);
    const each = (group.length / cycles).toFixed(2);
    console.log(`${name.padEnd(40)} ${cycles.toFixed(2)} cycles, ${each} instructions a cycle (${gigahertz} GHz)`);
  });
} finally {
  rmSync(folder, { recursive: true });
}
