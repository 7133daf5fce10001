import { describe, expect, it } from 'vitest';
import { ClockWitnesses } from '#issuance/terminals/clock-witnesses.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';

const day = 86_400_000;

describe('the clock of a server', () => {
  const clock = new SimulatedClock({ utcMs: Date.parse('2026-04-01T00:00:00Z') });
  const witnesses = new ClockWitnesses({ clock });
  const rightMs = clock.utcMs();
  const begunUs = clock.monotonicUs();
  const right = () => rightMs + (clock.monotonicUs() - begunUs) / 1_000;
  const says = (terminal: string, utcMs = right(), trusted = true) =>
    witnesses.heard({ organization: 'city', terminal }, { utcMs, trusted });

  it('is outvoted by most terminals whose own are right, and by them alone', () => {
    expect(witnesses.areAgainst('city')).toBe(false);
    clock.stepUtc(3 * day);
    says('unsure', right(), false);
    expect(witnesses.areAgainst('city')).toBe(false);
    says('lobby');
    expect(witnesses.areAgainst('city')).toBe(true);
    expect(witnesses.areAgainst('university')).toBe(false);
    says('gate', clock.utcMs());
    expect(witnesses.areAgainst('city'), 'one against one').toBe(false);
    says('lab');
    expect(witnesses.areAgainst('city')).toBe(true);
  });

  it('counts at once when it is put right, by less than an hour', () => {
    clock.advance(60_000);
    clock.stepUtc(-3 * day + 3_000_000);
    expect(witnesses.areAgainst('city')).toBe(false);
    clock.stepUtc(-2 * 3_600_000);
    expect(witnesses.areAgainst('city')).toBe(true);
  });

  it('is outvoted by nobody who has fallen silent, or does not know the time any more', () => {
    clock.advance(290_000);
    says('lab', right(), false);
    expect(witnesses.areAgainst('city')).toBe(false);
    says('lab');
    clock.advance(300_001);
    expect(witnesses.areAgainst('city')).toBe(false);
  });
});
