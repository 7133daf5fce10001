import { parseLimit } from '#core/access/holder-dates.ts';
import { localParts } from '#core/access/time-zone.ts';
import { Fault } from '#core/fault.ts';

/** `2026-04-01 18:00:00` in `timeZone`, for people; `utcMs` in milliseconds. */
export function localTime(utcMs: number, timeZone: string): string {
  const { year, month, day, hour, minute, second } = localParts(utcMs, timeZone);
  const two = (number: number) => String(number).padStart(2, '0');
  return `${year}-${two(month)}-${two(day)} ${two(hour)}:${two(minute)}:${two(second)}`;
}

/** Milliseconds UTC of a limit that an option gives, as `parseLimit` reads it. Throws `argument-invalid`. */
export function timeLimit(
  text: string | undefined,
  edge: 'from' | 'until',
  timeZone: string,
): number | undefined {
  if (text === undefined) return undefined;
  const ms = parseLimit(text, edge, timeZone);
  if (ms === undefined) {
    throw new Fault(
      'argument-invalid',
      `"${text}" is no time; write a day such as 2026-04-01 or "2026-04-01 18:00"`,
    );
  }
  return ms;
}
