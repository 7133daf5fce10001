import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

/** Tests that use the one PC/SC stack or the one set of ports of their namespace: one file at a time. */
const machine = ['test/pcsc/**/*.test.ts', 'test/site/**/*.test.ts'];

export default defineConfig({
  test: {
    reporters: ['default'],
    // on a small machine as well: a file that waits for programs leaves its core to another
    maxWorkers: Math.max(2, availableParallelism() - 1),
    testTimeout: 60_000,
    hookTimeout: 60_000,
    setupFiles: ['test/seed.ts'],
    // programs and threads of the tests start twice as fast from what others have compiled, as in service
    env: { NODE_COMPILE_CACHE: join(import.meta.dirname, 'dist/code') },
    projects: [
      { extends: true, test: { name: 'unit', include: ['test/**/*.test.ts'], exclude: machine } },
      { extends: true, test: { name: 'machine', include: machine, fileParallelism: false } },
    ],
    coverage: {
      provider: 'v8',
      include: ['src/core/card/**/*.ts', 'src/core/crypto/**/*.ts'],
      reporter: ['text-summary', 'html'],
      thresholds: { 'src/core/card/**': { branches: 95 }, 'src/core/crypto/**': { branches: 95 } },
    },
  },
});
