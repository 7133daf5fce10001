import { japaneseHolidays } from '#adapters/holidays/japan.ts';
import { lacksHolidays } from '#core/access/calendar.ts';
import type { SiteRules } from '#core/access/site-rules.ts';
import { localParts } from '#core/access/time-zone.ts';

/** years that the list of public holidays should still have when rules are imported */
const yearsAhead = 3;

/**
 * Rules together with the public holidays their calendars ask for, from last year on, and what to tell whoever
 * imports them. `nowMs` is milliseconds UTC.
 */
export function withHolidays(
  rules: SiteRules,
  nowMs: number,
): { readonly rules: SiteRules; readonly remarks: readonly string[] } {
  if (!lacksHolidays(rules)) return { rules, remarks: [] };
  const { year, month } = localParts(nowMs, rules.timeZone);
  const holidays = japaneseHolidays(year - 1);
  // on 1 February the Cabinet Office and the National Astronomical Observatory announce the next year's
  const announced = month === 1 ? year : year + 1;
  const remarks = [
    `public holidays of Japan: ${holidays.firstYear} to ${holidays.lastYear}; those after ${announced} are not announced yet, but computed`,
  ];
  if (holidays.lastYear < year + yearsAhead) {
    remarks.push(
      `warning: no public holiday is known after ${holidays.lastYear}; update the software, then import the rules again`,
    );
  }
  return { rules: { ...rules, japaneseHolidays: holidays }, remarks };
}
