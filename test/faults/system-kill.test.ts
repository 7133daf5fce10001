import { expect, it } from 'vitest';
import { runSystemKills } from './system-kill-run.ts';

/** The short form; `node test/faults/system-kill-run.ts --kills 300 --backend mosquitto` is the long one. */
it.each(['embedded', 'mosquitto', 'rabbitmq'] as const)(
  'nothing is lost and nothing doubled, whatever is killed, on %s',
  async (backend) => {
    const report = await runSystemKills(backend, 6, {
      seed: Number(process.env.FC_SEED ?? 1),
      reserveMiB: 8,
    });
    expect(report).toMatchObject({ missing: [], strange: [], alarms: [], repeated: [], sound: true });
    expect(report.entries).toBeGreaterThan(50);
    expect(report.suspensions).toBeGreaterThan(2);
    expect(report.commands).toBeGreaterThan(2);
    for (const answer of report.answers) expect(answer).toMatchObject({ reason: 'holder-suspended' });
  },
  300_000,
);
