import { Temporal } from 'temporal-polyfill';

/** A local date and time of day, to the minute. `hour` 24 with `minute` 0 is the end of the day. */
export interface LocalMinute {
  readonly year: number;
  /** 1 to 12 */
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
}

export interface LocalParts extends LocalMinute {
  readonly second: number;
  /** 1 (Monday) to 7 */
  readonly weekday: number;
}

/** the last answer: a decision asks for the same moment once for every schedule it looks at */
let last: { readonly utcMs: number; readonly timeZone: string; readonly parts: LocalParts } | undefined;

/** names alone: Temporal would also take an offset or a time zone out of a whole date */
const zoneName = /^[A-Za-z][\w+-]*(?:\/[\w+-]+)*$/;

/** Whether `timeZone` is an IANA name this system knows, such as `Asia/Tokyo`. */
export function isTimeZone(timeZone: string): boolean {
  if (!zoneName.test(timeZone)) return false;
  try {
    localParts(0, timeZone);
    return true;
  } catch {
    return false;
  }
}

/** Local date and time in `timeZone` (IANA name) at `utcMs`, milliseconds since 1970 UTC. Throws RangeError for a zone it does not know. */
export function localParts(utcMs: number, timeZone: string): LocalParts {
  if (last?.utcMs === utcMs && last.timeZone === timeZone) return last.parts;
  const local = Temporal.Instant.fromEpochMilliseconds(utcMs).toZonedDateTimeISO(timeZone);
  const { year, month, day, hour, minute, second, dayOfWeek: weekday } = local;
  last = { utcMs, timeZone, parts: { year, month, day, hour, minute, second, weekday } };
  return last.parts;
}

/**
 * Milliseconds UTC at which clocks in `timeZone` (IANA name) show `local`. Where daylight saving repeats a time of
 * day, the earlier of the two moments is meant; where it skips one, the moment as far after the change as the time
 * lies inside the gap (02:30 that does not exist is 03:30), which RFC 5545 section 3.3.5 has too. Throws RangeError
 * for a date that no calendar has.
 */
export function utcOfLocal(local: LocalMinute, timeZone: string): number {
  if (!isLocalMinute(local)) throw new RangeError('no such date or time of day');
  const { hour, minute, ...date } = local;
  const time = Temporal.PlainDateTime.from(date).add({ hours: hour, minutes: minute });
  return time.toZonedDateTime(timeZone, { disambiguation: 'compatible' }).epochMilliseconds;
}

/** Whether the calendar has this day and the day this minute (24:00 included). */
export function isLocalMinute({ year, month, day, hour, minute }: LocalMinute): boolean {
  const inDay = hour >= 0 && hour <= 23 && minute >= 0 && minute <= 59;
  const whole = [year, month, day, hour, minute].every(Number.isInteger);
  if (!whole || !(inDay || (hour === 24 && minute === 0)) || year < 1000 || year > 9999) return false;
  try {
    Temporal.PlainDate.from({ year, month, day }, { overflow: 'reject' });
    return true;
  } catch {
    return false;
  }
}
