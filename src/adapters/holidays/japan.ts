import holidayJp from '@holiday-jp/holiday_jp';
import { type HolidayDates, holidayKind } from '#core/access/calendar.ts';

/**
 * Public holidays of Japan with substitutes (振替休日) and days between two holidays (国民の休日), from `firstYear` to the
 * last whole year the list has. Later years rest on the law as it stood, and on computed equinoxes.
 */
export function japaneseHolidays(firstYear: number): HolidayDates {
  const all = Object.keys(holidayJp.holidays).sort();
  const lastYear = Number(all.at(-1)?.slice(0, 4));
  const wanted = all.filter((date) => date >= String(firstYear));
  return { firstYear, lastYear, days: Object.fromEntries(wanted.map((date) => [date, holidayKind])) };
}
