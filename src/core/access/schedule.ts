import type { Schedule } from './policy.ts';
import { weekdays } from './policy.ts';
import { localParts } from './time-zone.ts';

/** Whether `schedule` is in force at `utcMs`, read in local time of `timeZone` (IANA name). */
export function inForce(schedule: Schedule, utcMs: number, timeZone: string): boolean {
  const local = localParts(utcMs, timeZone);
  const minute = local.hour * 60 + local.minute;
  const day = weekdays[(new Date(Date.UTC(local.year, local.month - 1, local.day)).getUTCDay() + 6) % 7];
  return schedule.periods.some(
    (period) =>
      day !== undefined &&
      period.days.includes(day) &&
      minute >= period.fromMinute &&
      minute < period.toMinute,
  );
}
