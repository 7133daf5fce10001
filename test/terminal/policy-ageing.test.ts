import { describe, expect, it } from 'vitest';
import type { PolicyVersion } from '#core/access/policy.ts';
import { doorRules } from '../policy-slices.ts';
import { Bench, noon, reading } from './terminal-fixture.ts';

const hourMs = 3_600_000;

describe('a terminal whose policy nobody confirms', () => {
  const rules = doorRules(
    {
      id: 'door-1',
      ageing: { announce: '1 h', reduced: '2 h', closed: '4 h', inReduced: { groups: ['guards'] } },
    },
    { groups: ['staff', 'guards'] },
  );
  const version: PolicyVersion = {
    number: 3,
    organization: 'example',
    timeZone: 'Asia/Tokyo',
    installedAtMs: noon,
    freshAtMs: noon,
  };
  const alarms = (bench: Bench) =>
    bench.journal.records.flatMap(({ body }) => (body.alarm === 'policy-ageing' ? [body] : []));

  it('announces each step before it comes, once, and takes it back when the policy is confirmed', async () => {
    const bench = new Bench();
    bench.policy.installed = version;
    bench.policy.doors.set('door-1', rules);
    bench.permit(reading.userNumber, { rules });
    await bench.terminal.start();
    await bench.clock.advanceAsync(59 * 60_000);
    expect(alarms(bench)).toEqual([]);
    await bench.clock.advanceAsync(2 * 60_000);
    const about = { alarm: 'policy-ageing', door: 'door-1' };
    const reduced = { nextTier: 'reduced', nextTierAtMs: noon + 2 * hourMs };
    const closed = { nextTier: 'closed', nextTierAtMs: noon + 4 * hourMs };
    expect(alarms(bench)).toEqual([{ ...about, on: true, tier: 'full', ...reduced }]);
    await bench.tap();
    expect(bench.decisions().at(-1)).toMatchObject({ result: 'granted' });

    await bench.clock.advanceAsync(hourMs);
    expect(alarms(bench).at(-1)).toEqual({ ...about, on: true, tier: 'reduced', ...closed });
    await bench.tap();
    expect(bench.decisions().at(-1)).toMatchObject({ result: 'denied', reason: 'policy-too-old' });
    await bench.clock.advanceAsync(2 * hourMs);
    expect(alarms(bench).at(-1)).toEqual({ ...about, on: true, tier: 'closed' });
    await bench.clock.advanceAsync(2 * hourMs);
    expect(alarms(bench)).toHaveLength(3);

    bench.policy.installed = { ...version, number: 4, freshAtMs: bench.clock.utcMs() };
    await bench.clock.advanceAsync(60_000);
    expect(alarms(bench).at(-1)).toMatchObject({ on: false, tier: 'full', nextTier: 'reduced' });
    await bench.tap();
    expect(bench.decisions().at(-1)).toMatchObject({ result: 'granted' });
    await bench.terminal.stop();
  });

  it('grows no younger by a restart with an untrusted clock set back', async () => {
    const bench = new Bench();
    bench.policy.installed = version;
    bench.policy.doors.set('door-1', rules);
    bench.permit(reading.userNumber, { rules });
    await bench.terminal.start();
    await bench.clock.advanceAsync(3 * hourMs);
    await bench.terminal.stop();
    bench.clock.trust(false);
    bench.clock.reboot('boot-2');
    bench.clock.stepUtc(-3 * hourMs);
    await bench.terminal.start();
    await bench.tap();
    expect(bench.decisions().at(-1)).toMatchObject({ reason: 'policy-too-old' });
    await bench.terminal.stop();
  });
});
