import { isLocalMinute, utcOfLocal } from './time-zone.ts';

const pattern =
  /^(\d{4})([-/])(\d{1,2})\2(\d{1,2})(?:[ T](\d{1,2}):(\d{2})(?::00)?(?: ?(Z|[+-]\d{2}:?\d{2}))?)?$/;

/**
 * Milliseconds UTC of a limit of validity: `2026-04-01`, `2026/4/1`, `2026-04-01 18:00` in `timeZone`, or ISO 8601
 * with an offset (`2026-04-01T18:00+09:00`). A date alone is the whole day: as `from` its beginning, as `until`
 * its end, the beginning of the next day. Undefined for anything else.
 */
export function parseLimit(text: string, edge: 'from' | 'until', timeZone: string): number | undefined {
  const match = pattern.exec(text);
  if (!match) return undefined;
  const [, year, , month, day, hour, minute, offset] = match;
  const local = { year: Number(year), month: Number(month), day: Number(day), hour: 0, minute: 0 };
  if (hour === undefined || minute === undefined) {
    const whole = edge === 'from' ? local : { ...local, hour: 24 };
    return isLocalMinute(whole) ? utcOfLocal(whole, timeZone) : undefined;
  }
  const moment = { ...local, hour: Number(hour), minute: Number(minute) };
  if (!isLocalMinute(moment)) return undefined;
  if (offset === undefined) return utcOfLocal(moment, timeZone);
  const minutes = offsetMinutes(offset);
  if (minutes === undefined) return undefined;
  return utcOfLocal(moment, 'UTC') - minutes * 60_000;
}

function offsetMinutes(offset: string): number | undefined {
  if (offset === 'Z') return 0;
  const digits = offset.slice(1).replace(':', '');
  const [hours, minutes] = [Number(digits.slice(0, 2)), Number(digits.slice(2))];
  if (hours > 14 || minutes > 59) return undefined;
  return (offset.startsWith('-') ? -1 : 1) * (hours * 60 + minutes);
}
