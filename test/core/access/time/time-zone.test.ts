import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isTimeZone, localParts, utcOfLocal } from '#core/access/time-zone.ts';

const at = (text: string) => Date.parse(text);
const local = (year: number, month: number, day: number, hour = 0, minute = 0) => ({
  year,
  month,
  day,
  hour,
  minute,
});

describe('local time', () => {
  test('reads and writes Japanese time', () => {
    expect(localParts(at('2026-03-31T15:00:00Z'), 'Asia/Tokyo')).toEqual({
      ...local(2026, 4, 1),
      second: 0,
      weekday: 3,
    });
    expect(utcOfLocal(local(2026, 4, 1), 'Asia/Tokyo')).toBe(at('2026-03-31T15:00:00Z'));
  });

  test('24:00 is the start of the next day', () => {
    expect(utcOfLocal(local(2026, 12, 31, 24), 'Asia/Tokyo')).toBe(at('2026-12-31T15:00:00Z'));
  });

  test('takes the earlier of two moments when daylight saving repeats an hour', () => {
    expect(utcOfLocal(local(2026, 10, 25, 2, 30), 'Europe/Berlin')).toBe(at('2026-10-25T00:30:00Z'));
    expect(utcOfLocal(local(2026, 11, 1, 1, 30), 'America/New_York')).toBe(at('2026-11-01T05:30:00Z'));
  });

  test('moves a time that daylight saving skips past the gap', () => {
    expect(utcOfLocal(local(2026, 3, 29, 2, 30), 'Europe/Berlin')).toBe(at('2026-03-29T01:30:00Z'));
    expect(utcOfLocal(local(2026, 3, 8, 2, 30), 'America/New_York')).toBe(at('2026-03-08T07:30:00Z'));
    // Samoa skipped the whole of 30 December 2011
    expect(utcOfLocal(local(2011, 12, 30, 12), 'Pacific/Apia')).toBe(at('2011-12-30T22:00:00Z'));
  });

  // transitions of the time zone database: local time just before and at each, and how far the clock moved
  test.each([
    ['Europe/Berlin', '2026-03-29T01:00:00Z', local(2026, 3, 29, 1, 59), local(2026, 3, 29, 3, 0)],
    ['Europe/Berlin', '2026-10-25T01:00:00Z', local(2026, 10, 25, 2, 59), local(2026, 10, 25, 2, 0)],
    ['America/New_York', '2028-03-12T07:00:00Z', local(2028, 3, 12, 1, 59), local(2028, 3, 12, 3, 0)],
    ['America/New_York', '2026-11-01T06:00:00Z', local(2026, 11, 1, 1, 59), local(2026, 11, 1, 1, 0)],
    ['Australia/Lord_Howe', '2026-10-03T15:30:00Z', local(2026, 10, 4, 1, 59), local(2026, 10, 4, 2, 30)],
    ['Australia/Lord_Howe', '2026-04-04T15:00:00Z', local(2026, 4, 5, 1, 59), local(2026, 4, 5, 1, 30)],
    // the law of 1948 to 1951; none since
    ['Asia/Tokyo', '1951-05-05T15:00:00Z', local(1951, 5, 5, 23, 59), local(1951, 5, 6, 1, 0)],
    ['Asia/Tokyo', '2026-12-31T15:00:00Z', local(2026, 12, 31, 23, 59), local(2027, 1, 1, 0, 0)],
    ['Asia/Tokyo', '2028-02-28T15:00:00Z', local(2028, 2, 28, 23, 59), local(2028, 2, 29, 0, 0)],
    ['Asia/Tokyo', '2100-02-28T15:00:00Z', local(2100, 2, 28, 23, 59), local(2100, 3, 1, 0, 0)],
  ] as const)('%s at %s', (zone, moment, before, after) => {
    expect(localParts(at(moment) - 60_000, zone)).toMatchObject(before);
    expect(localParts(at(moment), zone)).toMatchObject(after);
  });

  test('is its own inverse wherever clocks do not change', () => {
    const zones = fc.constantFrom(
      'Asia/Tokyo',
      'UTC',
      'Asia/Kathmandu',
      'America/New_York',
      'Australia/Lord_Howe',
    );
    fc.assert(
      fc.property(zones, fc.integer({ min: 0, max: 2 ** 26 }), (zone, minutes) => {
        const utcMs = minutes * 60_000;
        const parts = localParts(utcMs, zone);
        const back = utcOfLocal(parts, zone);
        // in a repeated hour the later moment reads back as the earlier one
        expect(localParts(back, zone)).toEqual(parts);
        expect([0, 30 * 60_000, 3_600_000]).toContain(utcMs - back);
      }),
    );
  });

  test('refuses dates and times that do not exist', () => {
    for (const wrong of [
      local(2026, 2, 29),
      local(2026, 13, 1),
      local(2026, 4, 31),
      local(2026, 1, 1, 24, 1),
    ]) {
      expect(() => utcOfLocal(wrong, 'Asia/Tokyo')).toThrow(RangeError);
    }
    expect(() => utcOfLocal(local(2026, 1, 1, 9.5), 'Asia/Tokyo')).toThrow(RangeError);
  });

  test('knows IANA names alone', () => {
    expect(isTimeZone('Asia/Tokyo')).toBe(true);
    expect(isTimeZone('Asia/Edo')).toBe(false);
    expect(isTimeZone('Etc/GMT+9')).toBe(true);
    for (const none of ['+09:00', '2026-01-01T00:00[Asia/Tokyo]', 'Z', '', '../Tokyo']) {
      expect(isTimeZone(none), none).toBe(false);
    }
  });
});
