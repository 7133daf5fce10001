import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { weekdays } from '#core/access/calendar.ts';
import { inForce, inForceSince, type Schedule } from '#core/access/schedule.ts';

const everyDay = (fromMinute: number, toMinute: number): Schedule => ({
  id: 'daily',
  periods: [{ days: [...weekdays], fromMinute, toMinute }],
});
const at = (text: string) => Date.parse(text);

describe('a schedule where clocks change', () => {
  // 01:00-03:00 every day, and 02:00-02:30: how long each is in force on the day, in minutes
  it.each([
    ['Europe/Berlin', 'an ordinary day', '2026-06-14T22:00:00Z', 120, 30],
    ['Europe/Berlin', 'the hour 02:00 left out', '2026-03-28T23:00:00Z', 60, 0],
    ['Europe/Berlin', 'the hour 02:00 repeated', '2026-10-24T22:00:00Z', 180, 60],
    ['America/New_York', 'the hour 02:00 left out', '2026-03-08T05:00:00Z', 60, 0],
    ['America/New_York', 'the hour 01:00 repeated', '2026-11-01T04:00:00Z', 180, 30],
    ['Australia/Lord_Howe', '02:00 to 02:30 left out', '2026-10-03T13:30:00Z', 90, 0],
    ['Australia/Lord_Howe', '01:30 to 02:00 repeated', '2026-04-04T13:00:00Z', 150, 30],
    ['Asia/Tokyo', 'the same dates, no change', '2026-03-28T15:00:00Z', 120, 30],
    ['Asia/Tokyo', 'the same dates, no change', '2026-10-24T15:00:00Z', 120, 30],
    ['Asia/Tokyo', 'a leap day', '2028-02-28T15:00:00Z', 120, 30],
    ['Asia/Tokyo', 'the last day of a year', '2026-12-30T15:00:00Z', 120, 30],
  ] as const)('%s, %s', (zone, _, midnight, wide, narrow) => {
    const minutes = (schedule: Schedule) =>
      Array.from({ length: 12 * 60 }, (_value, minute) => at(midnight) + minute * 60_000).filter((ms) =>
        inForce(schedule, ms, zone),
      ).length;
    expect(minutes(everyDay(60, 180))).toBe(wide);
    expect(minutes(everyDay(120, 150))).toBe(narrow);
  });

  it('has its edges to the millisecond', () => {
    const office = everyDay(8 * 60 + 30, 19 * 60);
    expect(inForce(office, at('2026-11-16T08:29:59.999+09:00'), 'Asia/Tokyo')).toBe(false);
    expect(inForce(office, at('2026-11-16T08:30:00+09:00'), 'Asia/Tokyo')).toBe(true);
    expect(inForce(office, at('2026-11-16T18:59:59.999+09:00'), 'Asia/Tokyo')).toBe(true);
    expect(inForce(office, at('2026-11-16T19:00:00+09:00'), 'Asia/Tokyo')).toBe(false);
  });

  it('joins two periods over midnight, also over the end of a year and of February', () => {
    const night: Schedule = {
      id: 'night',
      periods: [
        { days: [...weekdays], fromMinute: 22 * 60, toMinute: 1440 },
        { days: [...weekdays], fromMinute: 0, toMinute: 6 * 60 },
      ],
    };
    for (const day of ['2026-12-31', '2028-02-28', '2028-02-29', '2100-02-28']) {
      const evening = at(`${day}T22:00:00+09:00`);
      expect(inForce(night, evening - 1, 'Asia/Tokyo')).toBe(false);
      for (let hour = 0; hour < 8; hour += 1)
        expect(inForce(night, evening + hour * 3_600_000, 'Asia/Tokyo')).toBe(true);
      expect(inForce(night, evening + 8 * 3_600_000, 'Asia/Tokyo')).toBe(false);
    }
  });

  it('takes many periods a day', () => {
    const periods = Array.from({ length: 48 }, (_, index) => ({
      days: ['mon'],
      fromMinute: index * 30,
      toMinute: index * 30 + 15,
    }));
    const monday = at('2026-11-16T00:00:00+09:00');
    for (let minute = 0; minute < 1440; minute += 1) {
      const held = inForce({ id: 'many', periods }, monday + minute * 60_000, 'Asia/Tokyo');
      expect(held).toBe(minute % 30 < 15);
    }
  });
});

describe('property: a schedule holds just when a list of all its minutes does', () => {
  const zone = fc.constantFrom(
    'Asia/Tokyo',
    'Europe/Berlin',
    'America/New_York',
    'Australia/Lord_Howe',
    'UTC',
  );
  const kinds = ['holiday', 'year-end', ...weekdays];
  // within two days of a change of clocks, a leap day or a year's end, or anywhere
  const around = fc.constantFrom(
    ...['2026-03-29', '2026-10-25', '2026-03-08', '2026-11-01', '2026-04-04', '2026-10-03', '2028-02-29'].map(
      at,
    ),
    at('2026-12-31'),
    at('2100-02-28'),
  );
  const period = fc
    .record({
      days: fc.subarray(kinds, { minLength: 1 }),
      edges: fc.uniqueArray(fc.integer({ min: 0, max: 1440 }), { minLength: 2, maxLength: 2 }),
    })
    .map(({ days, edges }) => ({ days, fromMinute: Math.min(...edges), toMinute: Math.max(...edges) }));

  it('in every time zone, around every kind of day', () => {
    fc.assert(
      fc.property(
        zone,
        around,
        fc.integer({ min: -2 * 1440, max: 2 * 1440 }),
        fc.array(period, { maxLength: 24 }),
        fc.dictionary(
          fc.constantFrom('2026-03-29', '2026-10-25', '2026-12-31', '2027-01-01', '2028-02-29', '2100-03-01'),
          fc.constantFrom('year-end', 'ordinary', 'holiday'),
        ),
        fc.subarray(['2026-11-01', '2027-01-01', '2028-02-29'], { minLength: 0 }),
        (timeZone, near, offset, periods, days, holidays) => {
          const schedule: Schedule = {
            id: 'any',
            periods,
            calendar: { days, holidays: Object.fromEntries(holidays.map((date) => [date, 'holiday'])) },
          };
          const wall = wallClock(timeZone);
          for (let step = 0; step < 90; step += 1) {
            const ms = near + (offset + step) * 60_000;
            expect(inForce(schedule, ms, timeZone)).toBe(listedMinutes(schedule, wall(ms)));
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('the beginning of a time in force where clocks change', () => {
  const daily = (from: number, to: number): Schedule => ({
    id: 'daily',
    periods: [{ days: [...weekdays], fromMinute: from, toMinute: to }],
  });
  it.each([
    // 02:30 is skipped: the period begins with 03:00
    ['Europe/Berlin', daily(150, 300), '2026-03-29T04:59:59.999+02:00', '2026-03-29T03:00:00+02:00'],
    ['Europe/Berlin', daily(150, 300), '2026-03-29T03:00:00+02:00', '2026-03-29T03:00:00+02:00'],
    ['Europe/Berlin', daily(60, 300), '2026-03-29T03:10:00+02:00', '2026-03-29T01:00:00+01:00'],
    // 02:00 to 03:00 comes twice
    ['Europe/Berlin', daily(60, 300), '2026-10-25T04:00:00+01:00', '2026-10-25T01:00:00+02:00'],
    ['Australia/Lord_Howe', daily(135, 300), '2026-10-04T02:40:00+11:00', '2026-10-04T02:30:00+11:00'],
  ] as const)('%s, %o at %s: since %s', (zone, schedule, now, since) => {
    expect(inForceSince(schedule, at(now), zone)).toBe(at(since));
  });
});

describe('property: the beginning of a time in force', () => {
  const days = fc.subarray([...weekdays], { minLength: 1 });
  const edges = fc.uniqueArray(fc.integer({ min: 0, max: 96 }), { minLength: 2, maxLength: 2 });
  const period = fc.record({ days, edges }).map((one) => ({
    days: one.days,
    fromMinute: Math.min(...one.edges) * 15,
    toMinute: Math.max(...one.edges) * 15,
  }));

  it('is the first of the minutes in force up to now, a day back at most', () => {
    fc.assert(
      fc.property(
        fc.array(period, { maxLength: 6 }),
        fc.integer({ min: 0, max: 7 * 96 }),
        (periods, quarter) => {
          const schedule: Schedule = { id: 'any', periods };
          const nowMs = at('2026-11-16T00:00:00Z') + quarter * 900_000;
          const since = inForceSince(schedule, nowMs, 'Asia/Tokyo');
          let first: number | undefined;
          for (let ms = nowMs; ms > nowMs - 86_400_000 && inForce(schedule, ms, 'Asia/Tokyo'); ms -= 900_000)
            first = ms;
          if (first === undefined || first > nowMs - 86_400_000 + 900_000) expect(since).toBe(first);
          else expect(since).toBeLessThanOrEqual(first);
        },
      ),
      { numRuns: 200 },
    );
  });
});

/** Local date, weekday and time of day as the platform writes them. */
function wallClock(timeZone: string): (ms: number) => readonly [string, string, string] {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    weekday: 'short',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  return (ms) => {
    const parts = Object.fromEntries(format.formatToParts(ms).map(({ type, value }) => [type, value]));
    return [
      `${parts.year}-${parts.month}-${parts.day}`,
      (parts.weekday ?? '').toLowerCase(),
      `${parts.hour}:${parts.minute}`,
    ];
  };
}

/** The model: what the day is called, and whether a period that names it has this minute of the clock on the wall. */
function listedMinutes(
  schedule: Schedule,
  [date, weekday, time]: readonly [string, string, string],
): boolean {
  let name = weekday;
  if (Object.keys(schedule.calendar?.holidays ?? {}).includes(date)) name = 'holiday';
  const own = schedule.calendar?.days[date];
  if (own === 'ordinary') name = weekday;
  else if (own !== undefined) name = own;
  const two = (number: number) => String(number).padStart(2, '0');
  const clock = (minute: number) => `${two(Math.floor(minute / 60))}:${two(minute % 60)}`;
  for (const { days, fromMinute, toMinute } of schedule.periods) {
    if (days.includes(name) && clock(fromMinute) <= time && time < clock(toMinute)) return true;
  }
  return false;
}
