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
}

const hourMs = 3_600_000;
const formatters = new Map<string, Intl.DateTimeFormat>();

function formatter(timeZone: string): Intl.DateTimeFormat {
  let format = formatters.get(timeZone);
  if (!format) {
    format = new Intl.DateTimeFormat('en-u-ca-gregory-nu-latn', {
      timeZone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
    formatters.set(timeZone, format);
  }
  return format;
}

/** Whether `timeZone` is an IANA name this system knows, such as `Asia/Tokyo`. */
export function isTimeZone(timeZone: string): boolean {
  if (/^[+-]/.test(timeZone)) return false;
  try {
    formatter(timeZone);
    return true;
  } catch {
    return false;
  }
}

/** Local date and time in `timeZone` (IANA name) at `utcMs`, milliseconds since 1970 UTC. Throws RangeError for a zone it does not know. */
export function localParts(utcMs: number, timeZone: string): LocalParts {
  const fields = { year: 0, month: 0, day: 0, hour: 0, minute: 0, second: 0 };
  for (const part of formatter(timeZone).formatToParts(utcMs)) {
    if (part.type in fields) fields[part.type as keyof typeof fields] = Number(part.value);
  }
  return fields;
}

/**
 * Milliseconds UTC at which clocks in `timeZone` (IANA name) show `local`. Where daylight saving repeats a time of
 * day, the earlier of the two moments is meant; where it skips one, the moment as far after the change as the time
 * lies inside the gap (02:30 that does not exist is 03:30). Throws RangeError for a date that no calendar has.
 */
export function utcOfLocal(local: LocalMinute, timeZone: string): number {
  if (!isLocalMinute(local)) throw new RangeError('no such date or time of day');
  const wallMs = Date.UTC(local.year, local.month - 1, local.day, local.hour, local.minute);
  const before = offsetMs(wallMs - 24 * hourMs, timeZone);
  const after = offsetMs(wallMs + 24 * hourMs, timeZone);
  const exact = [wallMs - before, wallMs - after].filter(
    (utcMs) => utcMs + offsetMs(utcMs, timeZone) === wallMs,
  );
  return exact.length > 0 ? Math.min(...exact) : wallMs - before;
}

/** Whether the calendar has this day and the day this minute (24:00 included). */
export function isLocalMinute({ year, month, day, hour, minute }: LocalMinute): boolean {
  if (![year, month, day, hour, minute].every(Number.isInteger) || year < 1000 || year > 9999) return false;
  const date = new Date(Date.UTC(year, month - 1, day));
  const inDay = hour >= 0 && hour <= 23 && minute >= 0 && minute <= 59;
  return (
    date.getUTCMonth() === month - 1 && date.getUTCDate() === day && (inDay || (hour === 24 && minute === 0))
  );
}

/** Local time minus UTC in milliseconds at `utcMs`. */
function offsetMs(utcMs: number, timeZone: string): number {
  const whole = Math.floor(utcMs / 1000) * 1000;
  const { year, month, day, hour, minute, second } = localParts(whole, timeZone);
  return Date.UTC(year, month - 1, day, hour, minute, second) - whole;
}
