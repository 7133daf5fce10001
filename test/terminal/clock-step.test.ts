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
