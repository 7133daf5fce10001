import { describe, expect, it } from 'vitest';
import { japaneseHolidays } from '#adapters/holidays/japan.ts';
import { rulesOfDoor, scheduleOf } from '#core/access/policy.ts';
import { dayOf, inForce } from '#core/access/schedule.ts';
import { type SiteRules, siteRulesSchema } from '#core/access/site-rules.ts';
import { parseYaml } from '#core/config/yaml-document.ts';

const yaml = `formatVersion: 1
organization: city
profiles:
  - id: type-a
    userNumberFormat: { alphabet: digits, minimumLength: 8, maximumLength: 8 }
calendars:
  - id: city
    holidays: japan
    days:
      - { date: 2026-12-29, until: 2027-01-03, kind: year-end }
      - { date: 2026-11-03, kind: ordinary }
      - { date: 2028-02-29, kind: election }
schedules:
  - id: office
    calendar: city
    periods:
      - { days: [mon, tue, wed, thu, fri], from: "08:30", to: "19:00" }
      - { days: [year-end, sat], from: "10:00", to: "12:00" }
  - id: closed-days
    calendar: city
    periods: [{ days: [holiday, sun], from: "00:00", to: "24:00" }]
  - id: weekdays
    periods: [{ days: [mon, tue, wed, thu, fri], from: "08:30", to: "19:00" }]
doors: [{ id: main }]
`;
const parse = (text: string) => parseYaml(text, 'rules.yaml', siteRulesSchema, 'policy-import-refused');
const written = parse(yaml);
const rules: SiteRules = { ...written, japaneseHolidays: japaneseHolidays(2024) };
const door = rulesOfDoor(rules, 'main');
const office = scheduleOf(door, 'office');
const tokyo = (date: string, time = '12:00') => Date.parse(`${date}T${time}:00+09:00`);
const holds = (schedule: string, date: string, time?: string) =>
  inForce(scheduleOf(door, schedule), tokyo(date, time), 'Asia/Tokyo');

describe('public holidays of Japan', () => {
  // as the Cabinet Office published them (国民の祝日について), with the weekday before for each
  it.each([
    ['2024-01-01', '元日'],
    ['2024-02-12', '建国記念の日の振替休日'],
    ['2024-05-06', 'こどもの日の振替休日'],
    ['2024-08-12', '山の日の振替休日'],
    ['2024-09-16', '敬老の日, the third Monday'],
    ['2024-09-23', '秋分の日の振替休日'],
    ['2024-11-04', '文化の日の振替休日'],
    ['2025-02-24', '天皇誕生日の振替休日'],
    ['2025-05-06', 'みどりの日の振替休日: two days after its Sunday'],
    ['2025-11-24', '勤労感謝の日の振替休日'],
    ['2026-03-20', '春分の日'],
    ['2026-05-06', '憲法記念日の振替休日: three days after its Sunday'],
    ['2026-09-21', '敬老の日'],
    ['2026-09-22', '国民の休日 between two holidays'],
    ['2026-09-23', '秋分の日'],
    ['2027-03-22', '春分の日の振替休日'],
  ])('%s is one: %s', (date) => {
    expect(dayOf(scheduleOf(door, 'closed-days'), tokyo(date), 'Asia/Tokyo')).toBe('holiday');
    expect(holds('office', date)).toBe(false);
    expect(holds('closed-days', date)).toBe(true);
  });

  it.each(['2024-05-07', '2024-08-13', '2025-05-07', '2026-05-07', '2026-09-24', '2026-05-01', '2026-12-25'])(
    '%s is none',
    (date) => {
      expect(holds('office', date)).toBe(true);
      expect(holds('closed-days', date)).toBe(false);
    },
  );

  it('are whole years, ascending, 16 to 21 a year', () => {
    const { firstYear, lastYear, days } = japaneseHolidays(2024);
    const dates = Object.keys(days);
    expect(new Set(Object.values(days))).toEqual(new Set(['holiday']));
    expect(firstYear).toBe(2024);
    expect(lastYear).toBeGreaterThanOrEqual(2050);
    expect(dates).toEqual([...new Set(dates)].sort());
    for (let year = firstYear; year <= lastYear; year += 1) {
      const count = dates.filter((date) => date.startsWith(`${year}-`)).length;
      expect(count, String(year)).toBeGreaterThanOrEqual(16);
      expect(count, String(year)).toBeLessThanOrEqual(21);
      expect(dates).toContain(`${year}-01-01`);
      expect(dates).toContain(`${year}-11-23`);
    }
  });

  it('must be in the policy where a calendar asks for them', () => {
    expect(() => rulesOfDoor(written, 'main')).toThrow(
      /calendar "city" is not in the policy with all its days/,
    );
  });

  it('travel with the policy as data alone: rules read back from JSON decide the same', () => {
    const again = rulesOfDoor(JSON.parse(JSON.stringify(rules)) as SiteRules, 'main');
    expect(again).toEqual(door);
  });
});

describe('a calendar of its own', () => {
  it.each([
    // a public holiday (文化の日, a Tuesday) on which people work
    ['office', '2026-11-03', '12:00', true],
    // the year end: other hours, over public holidays (1 January) and weekends alike
    ['office', '2026-12-28', '18:59', true],
    ['office', '2026-12-29', '09:59', false],
    ['office', '2026-12-29', '10:00', true],
    ['office', '2026-12-31', '11:59', true],
    ['office', '2027-01-01', '10:00', true],
    ['closed-days', '2027-01-01', '10:00', false],
    ['closed-days', '2027-01-03', '10:00', false],
    ['office', '2027-01-03', '12:00', false],
    ['office', '2027-01-04', '12:00', true],
    // a leap day of a kind that no period names
    ['office', '2028-02-28', '12:00', true],
    ['office', '2028-02-29', '12:00', false],
    ['weekdays', '2028-02-29', '12:00', true],
    ['office', '2028-03-01', '12:00', true],
    // Saturdays are Saturdays unless they are something else
    ['office', '2026-11-07', '11:00', true],
    ['office', '2026-11-07', '12:00', false],
  ] as const)('%s on %s at %s: %s', (schedule, date, time, expected) => {
    expect(holds(schedule, date, time)).toBe(expected);
  });

  it('takes a run of one day', () => {
    const one = yaml.replace('until: 2027-01-03', 'until: 2026-12-29');
    expect(parse(one).calendars[0]?.days).toMatchObject({ '2026-12-29': 'year-end' });
    expect(parse(one).calendars[0]?.days).not.toHaveProperty('2026-12-30');
  });

  it('begins and ends its days at local midnight', () => {
    const utc = (text: string) => Date.parse(text);
    expect(dayOf(office, utc('2026-12-28T14:59:59.999Z'), 'Asia/Tokyo')).toBe('mon');
    expect(dayOf(office, utc('2026-12-28T15:00:00Z'), 'Asia/Tokyo')).toBe('year-end');
    expect(dayOf(office, utc('2027-01-03T14:59:59.999Z'), 'Asia/Tokyo')).toBe('year-end');
    expect(dayOf(office, utc('2027-01-03T15:00:00Z'), 'Asia/Tokyo')).toBe('mon');
  });

  it.each([
    ['a day no calendar has', 'date: 2028-02-29', 'date: 2027-02-29', /:12:.*no calendar has/],
    ['2100 is no leap year', 'date: 2028-02-29', 'date: 2100-02-29', /:12:.*no calendar has/],
    ['the last before the first', 'until: 2027-01-03', 'until: 2026-01-03', /:10:.*not be before/],
    ['a slip in the year', 'until: 2027-01-03', 'until: 2072-01-03', /:10:.*366 days/],
    ['a day twice', 'date: 2028-02-29', 'date: 2026-12-31', /:12:.*2026-12-31 stands twice/],
    ['a weekday as kind', 'kind: election', 'kind: sun', /:12:.*ordinary/],
    ['another country', 'holidays: japan', 'holidays: france', /:8:/],
    [
      'an unknown calendar',
      'id: closed-days\n    calendar: city',
      'id: closed-days\n    calendar: town',
      /"town" is not listed/,
    ],
    [
      'a kind without a calendar',
      '  - id: weekdays\n    periods: [{ days: [mon,',
      '  - id: weekdays\n    periods: [{ days: [holiday,',
      /:23:.*"holiday" is no day.*name a calendar/,
    ],
    ['an unknown kind', '[year-end, sat]', '[new-year, sat]', /:18:.*"new-year" is no day: write .*year-end/],
    ['a kind that only excepts', '[year-end, sat]', '[ordinary, sat]', /:18:.*"ordinary" is no day/],
    [
      'public holidays where the calendar asks for none',
      '    holidays: japan\n',
      '',
      /"holiday" is no day: write mon, tue, wed, thu, fri, sat, sun, year-end, election$/m,
    ],
    ['a calendar twice', 'schedules:', '  - id: city\nschedules:', /:13:.*"city" stands twice/],
  ] as const)('is refused with the line: %s', (_, before, after, message) => {
    expect(yaml).toContain(before);
    expect(() => parse(yaml.replace(before, after))).toThrow(message);
  });
});
