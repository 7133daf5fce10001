import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { blankState } from '#core/access/access-state.ts';
import { decide } from '#core/access/decide.ts';
import type { Holder } from '#core/access/policy.ts';
import { floorAfter, floorAt, type TimeFloor } from '#core/access/time-floor.ts';
import type { WhileTimeUnknown } from '#core/access/time-unknown.ts';
import type { Reading } from '#core/card/reading.ts';
import { doorRules, staffSlice } from '../../../policy-slices.ts';

const second = 1_000;
const hour = 3_600_000;
const day = 24 * hour;
const tenYears = 3_652 * day;
/** Monday 2026-11-16 12:00 in Tokyo */
const noon = Date.parse('2026-11-16T12:00:00+09:00');

const reading: Reading = {
  organization: 'example',
  profileId: 'type-a',
  method: 'type-a',
  userNumber: '0012345678',
  assurance: ['mutual-authentication', 'message-authentication'],
  timings: { connectUs: 0, selectUs: 0, authenticateUs: 0, authenticateCardUs: 0, readUs: 0, exchanges: 4 },
};
const schedules = [{ id: 'office', periods: [{ days: ['mon'], from: '08:00', to: '18:00' }] }];

interface Case {
  readonly utcMs: number;
  readonly floorMs?: number;
  readonly trusted: boolean;
  readonly whileTimeUnknown?: WhileTimeUnknown;
  readonly holder?: Partial<Holder>;
  readonly schedule?: string | undefined;
  readonly assurance?: boolean;
  readonly keyVersionEndsMs?: number;
}

function outcome(c: Case): string {
  const decision = decide({
    reading:
      c.keyVersionEndsMs === undefined ? reading : { ...reading, keyVersionEndsMs: c.keyVersionEndsMs },
    request: { doorId: 'front', readerId: 'in', tapId: 't1' },
    slice: staffSlice({
      rules: doorRules(
        {
          id: 'front',
          whileTimeUnknown: c.whileTimeUnknown,
          additional: c.assurance ? [{ schedule: 'office', assurance: ['pin'] }] : [],
        },
        { schedules, permissions: [{ group: 'staff', door: 'front', schedule: c.schedule }] },
      ),
      holder: { holderId: 'h1', status: 'active', groups: ['staff'], ...c.holder },
    }),
    state: blankState,
    time: { utcMs: c.utcMs, floorMs: c.floorMs ?? 0, trusted: c.trusted, monotonicMs: 0, bootId: 'boot-1' },
  });
  return decision.kind === 'denied' ? decision.reason : decision.kind;
}

describe('a clock that steps', () => {
  const valid = { validFromMs: noon - day, validUntilMs: noon + day };
  // what the holder, valid from yesterday to tomorrow, meets at noon when the clock is off by so much
  it.each([
    ['1 s ahead', second, 'granted', 'granted'],
    ['1 s back', -second, 'granted', 'granted'],
    ['1 h ahead', hour, 'granted', 'granted'],
    ['1 h back', -hour, 'granted', 'granted'],
    ['10 years ahead', tenYears, 'no-longer-valid', 'no-longer-valid'],
    // a trusted clock is believed; an untrusted one never counts as earlier than the floor
    ['10 years back', -tenYears, 'not-yet-valid', 'granted'],
  ] as const)('%s', (_, step, trusted, untrusted) => {
    expect(outcome({ utcMs: noon + step, floorMs: noon, trusted: true, holder: valid })).toBe(trusted);
    expect(outcome({ utcMs: noon + step, floorMs: noon, trusted: false, holder: valid })).toBe(untrusted);
  });

  // the last second of validity, and of office hours, with the clock one second either way
  it.each([
    [true, -1, 'granted'],
    [true, 0, 'no-longer-valid'],
    [false, -1, 'granted'],
    [false, 0, 'no-longer-valid'],
  ] as const)('at the end of validity (trusted: %s, %s s)', (trusted, seconds, expected) => {
    const holder = { validUntilMs: noon };
    expect(outcome({ utcMs: noon + seconds * second, trusted, holder })).toBe(expected);
    // stepped back by a second, an hour or ten years after the end: only a trusted clock revives anybody
    for (const step of [second, hour, tenYears]) {
      const revived = outcome({ utcMs: noon - step, floorMs: noon, trusted, holder });
      expect(revived).toBe(trusted ? 'granted' : 'no-longer-valid');
    }
  });
});

describe('a door while the time is unknown', () => {
  const evening = noon + 8 * hour;
  const limited = { validUntilMs: noon + tenYears };
  const ended = { validUntilMs: noon - day };
  const early = { validFromMs: noon + tenYears };
  it.each([
    // schedule in force, not in force, no schedule
    ['floor', { utcMs: noon, schedule: 'office' }, 'granted'],
    ['floor', { utcMs: evening, schedule: 'office' }, 'outside-schedule'],
    ['floor', { utcMs: noon, floorMs: evening, schedule: 'office' }, 'outside-schedule'],
    ['floor', { utcMs: evening }, 'granted'],
    ['deny', { utcMs: noon, schedule: 'office' }, 'time-unknown'],
    ['deny', { utcMs: evening, schedule: 'office' }, 'time-unknown'],
    ['deny', { utcMs: evening }, 'granted'],
    ['unscheduled', { utcMs: noon, schedule: 'office' }, 'granted'],
    ['unscheduled', { utcMs: evening, schedule: 'office' }, 'granted'],
    ['unscheduled', { utcMs: evening }, 'granted'],
    // limits of validity
    ['floor', { utcMs: noon, holder: limited }, 'granted'],
    ['floor', { utcMs: noon, holder: ended }, 'no-longer-valid'],
    ['deny', { utcMs: noon, holder: limited }, 'time-unknown'],
    ['deny', { utcMs: noon, holder: early }, 'time-unknown'],
    ['deny', { utcMs: noon, holder: {} }, 'granted'],
    ['unscheduled', { utcMs: noon, holder: limited }, 'granted'],
    ['unscheduled', { utcMs: noon, holder: ended }, 'no-longer-valid'],
    ['unscheduled', { utcMs: noon, holder: early }, 'not-yet-valid'],
    // key versions that end
    ['floor', { utcMs: noon, keyVersionEndsMs: noon + 1 }, 'granted'],
    ['deny', { utcMs: noon, keyVersionEndsMs: noon + 1 }, 'time-unknown'],
    ['unscheduled', { utcMs: noon, keyVersionEndsMs: noon }, 'key-version-ended'],
    // what a schedule demands
    ['floor', { utcMs: noon, assurance: true }, 'needs'],
    ['floor', { utcMs: evening, assurance: true }, 'granted'],
    ['deny', { utcMs: evening, assurance: true }, 'needs'],
    ['unscheduled', { utcMs: evening, assurance: true }, 'needs'],
  ] as const)('%s: %o: %s', (whileTimeUnknown, c, expected) => {
    expect(outcome({ ...c, whileTimeUnknown, trusted: false })).toBe(expected);
  });

  it('decides alike under every policy once the clock is trusted', () => {
    for (const schedule of ['office', undefined]) {
      for (const utcMs of [noon, evening]) {
        for (const holder of [{}, limited, ended, early]) {
          const c = { utcMs, schedule, holder, trusted: true };
          const usual = outcome(c);
          expect(outcome({ ...c, whileTimeUnknown: 'deny' })).toBe(usual);
          expect(outcome({ ...c, whileTimeUnknown: 'unscheduled' })).toBe(usual);
        }
      }
    }
  });

  it('never grants, while the time is unknown, what has ended by the floor', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('floor' as const, 'deny' as const, 'unscheduled' as const),
        fc.integer({ min: -4_000, max: 4_000 }),
        fc.integer({ min: -4_000, max: 4_000 }),
        fc.option(fc.constant('office'), { nil: undefined }),
        (whileTimeUnknown, clockDays, untilDays, schedule) => {
          const holder = { validUntilMs: noon + untilDays * day };
          const utcMs = noon + clockDays * day;
          const decided = outcome({
            utcMs,
            floorMs: noon,
            trusted: false,
            whileTimeUnknown,
            schedule,
            holder,
          });
          if (untilDays <= 0) expect(decided).not.toBe('granted');
        },
      ),
    );
  });
});

describe('the floor below which no untrusted time counts', () => {
  /** One boot after another, entries of a clock that runs `offMs` off, `minutes` apart. */
  const run = (
    floor: TimeFloor | undefined,
    boot: { id: string; trusted: boolean; startMs: number; minutes: number },
  ) => {
    let now = floor;
    for (let minute = 0; minute <= boot.minutes; minute += 1) {
      now = floorAfter(now, {
        atMs: boot.startMs + minute * 60_000,
        monotonicUs: minute * 60_000_000,
        bootId: boot.id,
        clock: boot.trusted ? 'trusted' : 'untrusted',
      });
    }
    if (!now) throw new Error('no reading');
    return now;
  };
  const right = run(undefined, { id: 'a', trusted: true, startMs: noon, minutes: 60 });

  it('follows a trusted clock, also back', () => {
    expect(right.atMs).toBe(noon + hour);
    const wrong = run(right, { id: 'b', trusted: true, startMs: noon + tenYears, minutes: 5 });
    expect(wrong.atMs).toBe(noon + tenYears + 5 * 60_000);
    expect(run(wrong, { id: 'c', trusted: true, startMs: noon + 2 * hour, minutes: 0 }).atMs).toBe(
      noon + 2 * hour,
    );
  });

  it('is moved ahead by a day at most when an untrusted clock jumps ten years', () => {
    const jumped = run(right, { id: 'b', trusted: false, startMs: noon + tenYears, minutes: 600 });
    expect(jumped.atMs).toBe(right.atMs + day + 600 * 60_000);
    // after the reboot, right again and still untrusted: whoever is valid for two days more is let in
    const floorMs = floorAt(jumped, { bootId: 'c', monotonicUs: 0 });
    const holder = { validUntilMs: noon + 3 * day };
    expect(outcome({ utcMs: noon + 12 * hour, floorMs, trusted: false, holder })).toBe('granted');
  });

  it('keeps an untrusted clock that is right, with the power off for hours, to the second', () => {
    const next = run(right, { id: 'b', trusted: false, startMs: right.atMs + 9 * hour, minutes: 30 });
    expect(next.atMs).toBe(right.atMs + 9 * hour + 30 * 60_000);
  });

  it('never goes back under an untrusted clock, whatever that shows, and moves on with the time that has passed', () => {
    const back = run(right, { id: 'b', trusted: false, startMs: noon - tenYears, minutes: 120 });
    expect(back.atMs).toBe(right.atMs + 2 * hour);
    expect(floorAt(back, { bootId: 'b', monotonicUs: 180 * 60_000_000 })).toBe(right.atMs + 3 * hour);
  });

  it('takes nothing from a reading older than its own of the same boot', () => {
    const older = { atMs: noon - day, monotonicUs: 0, bootId: 'a', clock: 'trusted' } as const;
    expect(floorAfter(right, older)).toBe(right);
  });

  it('property: lies between what has surely passed and that with a day for each boot', () => {
    const entry = fc.record({
      days: fc.integer({ min: -5_000, max: 5_000 }),
      afterMs: fc.nat({ max: day }),
      reboot: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 30 }), (entries) => {
        let floor = right;
        let boot = 0;
        let monotonicMs = right.monotonicUs / 1_000;
        let sureMs = right.atMs;
        for (const { days, afterMs, reboot } of entries) {
          if (reboot) {
            boot += 1;
            monotonicMs = 0;
          } else {
            monotonicMs += afterMs;
            sureMs += afterMs;
          }
          const before = floor.atMs;
          floor = floorAfter(floor, {
            atMs: noon + days * day,
            monotonicUs: monotonicMs * 1_000,
            bootId: boot === 0 ? 'a' : `boot-${boot}`,
            clock: 'untrusted',
          });
          expect(floor.atMs).toBeGreaterThanOrEqual(before);
          expect(floor.atMs).toBeGreaterThanOrEqual(sureMs);
          expect(floor.atMs).toBeLessThanOrEqual(sureMs + (boot + 1) * day);
        }
      }),
      { numRuns: 300 },
    );
  });
});
