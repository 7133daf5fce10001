import { localParts } from '#core/access/time-zone.ts';

/** `2026-04-01 18:00:00` in `timeZone`, for people; `utcMs` in milliseconds. */
export function localTime(utcMs: number, timeZone: string): string {
  const { year, month, day, hour, minute, second } = localParts(utcMs, timeZone);
  const two = (number: number) => String(number).padStart(2, '0');
  return `${year}-${two(month)}-${two(day)} ${two(hour)}:${two(minute)}:${two(second)}`;
}
