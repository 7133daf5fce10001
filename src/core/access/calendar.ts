import { z } from 'zod';
import { id } from './rule-config.ts';
import { isLocalMinute, type LocalMinute } from './time-zone.ts';

export const weekdays = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;

/** kind of a public holiday */
export const holidayKind = 'holiday';
/** kind of a day that is read by its weekday, though it is a public holiday */
const ordinaryKind = 'ordinary';
const dayMs = 86_400_000;
/** longest run of days one line may give: a slip in a year must not make a million of them */
const daysAtOnce = 366;

/** Kinds of days by date (`2026-12-29`). */
export interface DayKinds {
  readonly [date: string]: string;
}

/** Public holidays of whole years, which travel with the policy: decisions never compute one. */
export interface HolidayDates {
  readonly firstYear: number;
  readonly lastYear: number;
  readonly days: DayKinds;
}

/** A calendar as the rules give it; its own days outrank public holidays. */
export interface RulesCalendar {
  readonly id: string;
  /** whose public holidays are days of the kind `holiday` */
  readonly holidays?: 'japan' | undefined;
  readonly days: DayKinds;
}

/** A calendar together with the public holidays it refers to. */
export interface Calendar {
  readonly days: DayKinds;
  readonly holidays: DayKinds;
}

const date = z
  .string({ error: 'must be a date such as 2026-12-29' })
  .regex(/^\d{4}-\d{2}-\d{2}$/, 'must be a date such as 2026-12-29')
  .refine(isDate, 'is a day that no calendar has');

const specialDays = z
  .strictObject({
    date,
    until: date.optional(),
    kind: id.refine(
      (kind) => !weekdays.some((weekday) => weekday === kind),
      `is a weekday; to have the day count as its own weekday write ${ordinaryKind}`,
    ),
  })
  .refine(({ date: first, until }) => until === undefined || until >= first, {
    path: ['until'],
    error: 'must not be before "date"; it is the last of the days',
  })
  .refine(({ date: first, until = first }) => datesBetween(first, until).length <= daysAtOnce, {
    path: ['until'],
    error: `lies more than ${daysAtOnce} days after "date"`,
  });

/** Schema of one calendar of the rules. `until` is the last day of a run; a date may stand once. */
export const calendarSchema = z
  .strictObject({
    id,
    holidays: z.literal('japan').optional(),
    days: z.array(specialDays).default([]),
  })
  .transform((calendar, context): RulesCalendar => {
    const days: { [date: string]: string } = {};
    for (const [at, { date: first, until = first, kind }] of calendar.days.entries()) {
      for (const day of datesBetween(first, until)) {
        if (day in days) {
          context.addIssue({
            code: 'custom',
            path: ['days', at],
            message: `${day} stands twice; remove one`,
          });
          break;
        }
        days[day] = kind;
      }
    }
    return { ...calendar, days };
  });

/** Whether a calendar of the rules asks for public holidays which they do not hold yet. */
export function lacksHolidays(rules: {
  readonly calendars: readonly RulesCalendar[];
  readonly japaneseHolidays?: HolidayDates;
}): boolean {
  return rules.japaneseHolidays === undefined && rules.calendars.some(({ holidays }) => holidays);
}

/** The kinds of days that `calendar` has beside weekdays. */
export function dayKinds({ holidays, days }: RulesCalendar): ReadonlySet<string> {
  const kinds = new Set(Object.values(days).filter((kind) => kind !== ordinaryKind));
  return holidays ? kinds.add(holidayKind) : kinds;
}

/** The kind of the local day, or its weekday where `calendar` makes nothing else of it. */
export function kindOfDay(
  { year, month, day, weekday }: Pick<LocalMinute, 'year' | 'month' | 'day'> & { readonly weekday: number },
  calendar: Calendar | undefined,
): string {
  const key = `${year}-${String(month).padStart(2, '0')}-${String(day).padStart(2, '0')}`;
  const kind = calendar?.days[key] ?? calendar?.holidays[key] ?? ordinaryKind;
  return kind === ordinaryKind ? (weekdays[weekday - 1] ?? '') : kind;
}

function isDate(text: string): boolean {
  const [year = 0, month = 0, day = 0] = text.split('-').map(Number);
  return isLocalMinute({ year, month, day, hour: 0, minute: 0 });
}

/** Every date from `first` to `last`, both included; one more than may be given at once ends the list. */
function datesBetween(first: string, last: string): readonly string[] {
  const [fromMs, toMs] = [Date.parse(first), Date.parse(last)];
  const length = Math.min(Math.round((toMs - fromMs) / dayMs) + 1, daysAtOnce + 1);
  return Array.from({ length: Math.max(0, length) }, (_, index) =>
    new Date(fromMs + index * dayMs).toISOString().slice(0, 10),
  );
}
