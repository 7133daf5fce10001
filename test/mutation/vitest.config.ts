import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** What finds most for its time comes first, so that most mutants end after a moment; what takes longest comes last. */
const first = [/\/vectors\//, /\/crypto\//, /\/card\/(profile|scp03|trace|conformance-report)/];
const last = [/\/card\/(conformance|custom|virtual-card)\./, /\/card\/timing-/];

function turn({ moduleId }: TestSpecification): number {
  const early = first.findIndex((path) => path.test(moduleId));
  return early < 0 ? last.findIndex((path) => path.test(moduleId)) + 1 : early - first.length;
}

class SharpestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]) {
    return files.toSorted((a, b) => turn(a) - turn(b) || a.moduleId.localeCompare(b.moduleId));
  }
}

export default defineConfig({
  test: {
    include: ['test/core/card/**/*.test.ts', 'test/core/crypto/**/*.test.ts', 'test/vectors/**/*.test.ts'],
    // these sweeps take seconds a mutant: without them the score is, if anything, too low
    exclude: [
      'test/core/card/timing-crowd.test.ts',
      'test/core/card/tampering.test.ts',
      'test/core/card/secure-channel-properties.test.ts',
    ],
    setupFiles: ['test/seed.ts', 'test/mutation/first-failure.ts'],
    // one worker a mutant, in which the modules under test are loaded once and anew
    isolate: false,
    // nobody reads what vitest says of each mutant, and it takes its time to say it
    reporters: [{}],
    sequence: { sequencer: SharpestFirst },
    testTimeout: 30_000,
  },
});
