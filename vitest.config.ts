import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

/**
 * Unit tests import the sources (`../src/...`). Tests that start workers import the built package (`shoal/...`), because Node 20 cannot load
 * TypeScript in a worker; one process must not mix the two, or there are two `Tensor` classes.
 */
export default defineConfig({
  resolve: {
    alias: [
      { find: '#platform', replacement: path('./src/platform/node.ts') },
      { find: /^shoal$/, replacement: path('./dist/src/index.js') },
      { find: /^shoal\/kernels$/, replacement: path('./dist/kernels/index.js') },
      { find: /^shoal\/(.+)$/, replacement: `${path('./dist/src/')}$1/index.js` },
    ],
  },
  server: { deps: { external: [/\/dist\//] } },
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/runtimes/**', 'test/loaders/**', '**/node_modules/**'],
    pool: 'forks',
    // On two cores vitest would leave one idle. So no test may need a core of its own.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
