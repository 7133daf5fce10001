import { expect, test } from 'vitest';
import { runEndurance } from './endurance-run.ts';

// the short form; the long one is the command in endurance.ts
test('misses no tap and leaks no descriptor over insertions and restarts of pcscd', {
  timeout: 120_000,
}, async () => {
  const report = await runEndurance({ insertions: 20, restarts: 3, progress: () => undefined });
  expect(report).toMatchObject({ insertions: 20, restarts: 3, missedTaps: 0, descriptorGrowth: 0 });
  expect(report.slowestRecoveryMs).toBeLessThan(5_000);
});
