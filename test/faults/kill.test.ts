import { describe, expect, it } from 'vitest';
import { runKills } from './kill-run.ts';

/** The short form; `node test/faults/kill-run.ts --kills 1000` is the long one. */
describe('a terminal killed at random moments under continuous taps', () => {
  it('leaves the strike locked within 1 s, no opening without its entry in a chain that verifies, and all that rules count as journalled', async () => {
    const report = await runKills(12);
    expect(report.relockMs.filter((ms) => ms >= 1_000)).toEqual([]);
    expect(report.unrecorded).toEqual([]);
    expect(report).toMatchObject({ forgotten: [], invented: [], consistent: true });
    expect(report.findings).toEqual([]);
    expect(report.sound).toBe(true);
    expect(report.openingsSeen).toBeGreaterThan(12);
    expect(report.whileUnlocked).toBeGreaterThan(0);
    expect(report.uses).toBeGreaterThan(12);
    expect(report.admissions).toBeGreaterThan(12);
  }, 120_000);
});
