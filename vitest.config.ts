import { defineConfig } from 'vitest/config';

/** Tests that use the one PC/SC stack or the one set of ports of their namespace: one file at a time. */
const machine = ['test/pcsc/**/*.test.ts', 'test/site/**/*.test.ts'];

export default defineConfig({
  test: {
    reporters: ['default'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    setupFiles: ['test/seed.ts'],
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
