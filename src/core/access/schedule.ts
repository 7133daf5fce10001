import { z } from 'zod';
import { type Calendar, dayKinds, kindOfDay, type RulesCalendar, weekdays } from './calendar.ts';
import { id, timeOfDay } from './rule-config.ts';
import { localParts, utcOfLocal } from './time-zone.ts';

const dayMs = 86_400_000;
const minuteMs = 60_000;

/**
 * A period of local time on the named days (weekdays, or kinds of days of the schedule's calendar), `from` inclusive,
 * `to` exclusive, in minutes after midnight (0 to 1440).
 */
export interface SchedulePeriod {
  readonly days: readonly string[];
  readonly fromMinute: number;
  readonly toMinute: number;
}

/** A schedule as the rules give it, with its calendar by id. */
export interface RulesSchedule {
  readonly id: string;
  readonly calendar?: string | undefined;
  readonly periods: readonly SchedulePeriod[];
}

/** A schedule together with its calendar. */
export interface Schedule {
  readonly id: string;
  readonly calendar?: Calendar;
  readonly periods: readonly SchedulePeriod[];
}

const period = z
  .strictObject({
    days: z.array(id).min(1, 'must name at least one day'),
    from: timeOfDay,
    to: timeOfDay,
  })
  .refine((value) => value.from < value.to, {
    path: ['to'],
    error: 'must be later than "from"; give a period over midnight as two, to "24:00" and from "00:00"',
  })
  .transform(({ days, from, to }): SchedulePeriod => ({ days, fromMinute: from, toMinute: to }));

/** Schema of one schedule of the rules. */
export const scheduleSchema = z.strictObject({
  id,
  calendar: id.optional(),
  periods: z.array(period).min(1),
});

/** Calendars and kinds of days that schedules name and nothing bears, each with its place in the rules. */
export function* unknownDays(
  schedules: readonly RulesSchedule[],
  calendars: readonly RulesCalendar[],
): Iterable<{ readonly path: readonly (string | number)[]; readonly message: string }> {
  for (const [at, schedule] of schedules.entries()) {
    const calendar = calendars.find(({ id }) => id === schedule.calendar);
    if (schedule.calendar !== undefined && !calendar) {
      const message = `"${schedule.calendar}" is not listed under calendars; add it there or correct it`;
      yield { path: ['schedules', at, 'calendar'], message };
      continue;
    }
    const known = new Set<string>([...weekdays, ...(calendar ? dayKinds(calendar) : [])]);
    for (const [index, { days }] of schedule.periods.entries()) {
      for (const [place, day] of days.entries()) {
        if (known.has(day)) continue;
        const message = `"${day}" is no day: write ${[...known].join(', ')}${calendar ? '' : ', or name a calendar that has such days'}`;
        yield { path: ['schedules', at, 'periods', index, 'days', place], message };
      }
    }
  }
}

/**
 * Whether `schedule` is in force at `utcMs`, read in local time of `timeZone` (IANA name). A day to which the calendar
 * gives a kind has the periods that name this kind, and no others. Where daylight saving repeats a time of day, a
 * period holds both times; what it skips does not come.
 */
export function inForce(schedule: Schedule, utcMs: number, timeZone: string): boolean {
  return periodAt(schedule, utcMs, timeZone) !== undefined;
}

function periodAt(schedule: Schedule, utcMs: number, timeZone: string): SchedulePeriod | undefined {
  const local = localParts(utcMs, timeZone);
  const minute = local.hour * 60 + local.minute;
  const day = kindOfDay(local, schedule.calendar);
  return schedule.periods.find(
    ({ days, fromMinute, toMinute }) => days.includes(day) && minute >= fromMinute && minute < toMinute,
  );
}

/**
 * Since when `schedule` has been in force without a break, milliseconds UTC and at most a day back; undefined where it
 * is not in force at `utcMs`. A period that daylight saving repeats counts as one.
 */
export function inForceSince(schedule: Schedule, utcMs: number, timeZone: string): number | undefined {
  let sinceMs: number | undefined;
  for (let atMs = utcMs; atMs > utcMs - dayMs; atMs = sinceMs - 1) {
    const period = periodAt(schedule, atMs, timeZone);
    if (!period) break;
    const [hour, minute] = [Math.floor(period.fromMinute / 60), period.fromMinute % 60];
    const beginMs = utcOfLocal({ ...localParts(atMs, timeZone), hour, minute }, timeZone);
    // a beginning that daylight saving skips lies later than what follows it: then a minute at a time, to the change
    sinceMs = Math.min(atMs - (atMs % minuteMs), beginMs);
  }
  return sinceMs;
}

/** What day `schedule` takes `utcMs` for in `timeZone`: a weekday, or a kind of day of its calendar. */
export function dayOf(schedule: Schedule, utcMs: number, timeZone: string): string {
  return kindOfDay(localParts(utcMs, timeZone), schedule.calendar);
}
