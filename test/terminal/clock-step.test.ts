import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Bench, noon, reading } from './terminal-fixture.ts';

const hourMs = 3_600_000;

/** A holder whose validity ends while the terminal runs. */
describe('a clock that jumps back while the terminal runs', () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = new Bench();
    bench.clock.trust(false);
    bench.permit(reading.userNumber, {
      holder: { holderId: 'h', status: 'active', groups: ['staff'], validUntilMs: noon + hourMs },
    });
    await bench.terminal.start();
    await bench.tap();
    expect(bench.decisions()).toEqual([expect.objectContaining({ result: 'granted' })]);
    await bench.clock.advanceAsync(2 * hourMs);
    await bench.tap();
    expect(bench.decisions().at(-1)).toMatchObject({ reason: 'no-longer-valid' });
    bench.clock.stepUtc(-24 * hourMs);
  });
  afterEach(() => bench.terminal.stop());

  it('revives nobody: the next tap is still too late', async () => {
    await bench.tap();
    expect(bench.decisions().at(-1)).toMatchObject({ result: 'denied', reason: 'no-longer-valid' });
    expect(bench.locked()).toBe(true);
  });

  it('is recorded within a minute, with how far it went', async () => {
    await bench.clock.advanceAsync(60_000);
    const step = bench.journal.records.find(({ kind }) => kind === 'clock');
    expect(step?.body).toMatchObject({ event: 'stepped-back' });
    expect(Number(step?.body.byMs)).toBeGreaterThan(23 * hourMs);
  });

  it('cuts no opening short and draws none out: the strike locks after its time', async () => {
    bench.permit(reading.userNumber);
    await bench.tap();
    expect(bench.locked()).toBe(false);
    bench.clock.stepUtc(-24 * hourMs);
    await bench.clock.advanceAsync(4_900);
    expect(bench.locked()).toBe(false);
    await bench.clock.advanceAsync(200);
    expect(bench.locked()).toBe(true);
  });
});

describe('a terminal whose clock nobody vouches for', () => {
  const tenYearsMs = 3_652 * 24 * hourMs;
  const validFor = (ms: number) => ({
    holder: { holderId: 'h', status: 'active' as const, groups: ['staff'], validUntilMs: noon + ms },
  });

  it('lets people in again after a jump of ten years and a restart', async () => {
    const bench = new Bench();
    await bench.terminal.start();
    await bench.terminal.stop();
    bench.clock.trust(false);
    bench.permit(reading.userNumber, validFor(72 * hourMs));
    await bench.terminal.start();
    bench.clock.stepUtc(tenYearsMs);
    await bench.tap();
    expect(bench.decisions().at(-1)).toMatchObject({ reason: 'no-longer-valid' });
    await bench.clock.advanceAsync(60_000);
    expect(bench.journal.records.at(-1)?.body).toMatchObject({ event: 'stepped-forward', byMs: tenYearsMs });
    await bench.terminal.stop();
    bench.clock.reboot('boot-2');
    bench.clock.stepUtc(-tenYearsMs);
    await bench.terminal.start();
    await bench.tap();
    expect(bench.decisions().at(-1)).toMatchObject({ result: 'granted' });
    await bench.terminal.stop();
  });

  it('takes the hours without power for no step of the clock', async () => {
    const bench = new Bench();
    bench.clock.trust(false);
    bench.journal.knowsTime(noon - 9 * hourMs);
    await bench.terminal.start();
    await bench.clock.advanceAsync(hourMs);
    expect(bench.journal.records.filter(({ kind }) => kind === 'clock')).toEqual([]);
    await bench.terminal.stop();
  });

  it('revives nobody by a restart with the clock set back', async () => {
    const bench = new Bench();
    bench.permit(reading.userNumber, validFor(hourMs));
    await bench.terminal.start();
    await bench.clock.advanceAsync(2 * hourMs);
    await bench.tap();
    expect(bench.decisions().at(-1)).toMatchObject({ reason: 'no-longer-valid' });
    await bench.terminal.stop();
    bench.clock.trust(false);
    bench.clock.reboot('boot-2');
    bench.clock.stepUtc(-tenYearsMs);
    await bench.terminal.start();
    await bench.tap();
    expect(bench.decisions().at(-1)).toMatchObject({ reason: 'no-longer-valid' });
    const steps = bench.journal.records.filter(({ body }) => body.event === 'stepped-back');
    expect(steps).toHaveLength(1);
    // synchronised at last: the clock is believed over the floor, and stays so in the next boot
    bench.clock.trust(true);
    bench.permit(reading.userNumber, {
      holder: {
        holderId: 'h',
        status: 'active',
        groups: ['staff'],
        validUntilMs: noon - tenYearsMs + 72 * hourMs,
      },
    });
    await bench.tap();
    expect(bench.decisions().at(-1)).toMatchObject({ result: 'granted' });
    await bench.terminal.stop();
    bench.clock.trust(false);
    bench.clock.reboot('boot-3');
    await bench.terminal.start();
    await bench.tap();
    expect(bench.decisions().at(-1)).toMatchObject({ result: 'granted' });
    await bench.terminal.stop();
  });
});
