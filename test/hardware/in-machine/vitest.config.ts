import { defineConfig } from 'vitest/config';

/** how long one test may take in a machine that is emulated, tens of times slower than a device, in milliseconds */
const limitMs = 300_000;

/** The contract suites of test/contracts on the kernel of the emulated machine, run there: see ../contracts.ts. */
export default defineConfig({
  test: {
    include: ['test/hardware/in-machine/*.contract.ts'],
    // there is one of each device
    fileParallelism: false,
    // what the suites have in common is loaded once
    isolate: false,
    testTimeout: limitMs,
    hookTimeout: limitMs,
    teardownTimeout: limitMs,
  },
});
