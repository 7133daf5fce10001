import { beforeEach, describe, expect, it } from 'vitest';
import { ClockWitnesses } from '#issuance/terminals/clock-witnesses.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';

const day = 86_400_000;
const rightMs = Date.parse('2026-04-01T00:00:00Z');

describe('the clock of a server', () => {
  let clock: SimulatedClock;
  let witnesses: ClockWitnesses;
  let passedMs: () => number;
  beforeEach(() => {
    clock = new SimulatedClock({ utcMs: rightMs });
    witnesses = new ClockWitnesses({ clock });
    const begunUs = clock.monotonicUs();
    passedMs = () => (clock.monotonicUs() - begunUs) / 1_000;
  });
  const right = () => rightMs + passedMs();
  const says = (terminal: string, utcMs = right(), trusted = true) =>
    witnesses.heard({ organization: 'city', terminal }, { utcMs, trusted });
  const say = (count: number, utcMs = right(), trusted = true) => {
    for (let n = 0; n < count; n += 1) says(`${trusted}-${utcMs}-${n}`, utcMs, trusted);
  };

  it('is outvoted by three terminals, where they are most of those heard and know the time', () => {
    expect(witnesses.areAgainst('city')).toBe(false);
    clock.stepUtc(3 * day);
    say(2);
    expect(witnesses.areAgainst('city'), 'too few').toBe(false);
    says('lobby');
    expect(witnesses.areAgainst('city')).toBe(true);
    expect(witnesses.areAgainst('university')).toBe(false);
    say(3, clock.utcMs());
    expect(witnesses.areAgainst('city'), 'three against three').toBe(false);
    says('gate');
    expect(witnesses.areAgainst('city')).toBe(true);
  });

  it('is not outvoted by some hostile terminals among many that do not know the time', () => {
    say(7, right() + 3 * day);
    say(7, right(), false);
    expect(witnesses.areAgainst('city')).toBe(false);
    says('another', right() + 3 * day);
    expect(witnesses.areAgainst('city')).toBe(true);
  });

  it('is not outvoted by terminals that all have the hour of another country', () => {
    say(20, right() + 9 * 3_600_000);
    expect(witnesses.areAgainst('city')).toBe(false);
    say(30, right() - 14 * 3_600_000);
    expect(witnesses.areAgainst('city')).toBe(false);
  });

  it('counts at once when it is put right, by less than a day', () => {
    clock.stepUtc(3 * day);
    say(3);
    expect(witnesses.areAgainst('city')).toBe(true);
    clock.advance(60_000);
    clock.stepUtc(-2 * day - 3_600_000);
    expect(witnesses.areAgainst('city')).toBe(false);
    clock.stepUtc(-2 * day);
    expect(witnesses.areAgainst('city')).toBe(true);
  });

  it('is outvoted by nobody who has fallen silent, or does not know the time any more', () => {
    clock.stepUtc(-3 * day);
    for (const terminal of ['lobby', 'gate', 'lab']) says(terminal);
    clock.advance(290_000);
    expect(witnesses.areAgainst('city')).toBe(true);
    says('lab', right(), false);
    expect(witnesses.areAgainst('city')).toBe(false);
    says('lab');
    expect(witnesses.areAgainst('city')).toBe(true);
    clock.advance(10_001);
    expect(witnesses.areAgainst('city'), 'lobby and gate said nothing for 5 minutes').toBe(false);
  });
});
