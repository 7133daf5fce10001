import { z } from 'zod';
import { type Assurance, assuranceProperties } from '#core/card/reading.ts';
import { userNumberFormatSchema } from '#core/card/user-number.ts';
import { calendarSchema, type HolidayDates, type RulesCalendar } from './calendar.ts';
import { id } from './rule-config.ts';
import { type RulesSchedule, scheduleSchema, unknownDays } from './schedule.ts';
import { isTimeZone } from './time-zone.ts';

/**
 * The rules of a site: everything of a policy but its holders, written by hand in YAML.
 *
 * ```yaml
 * formatVersion: 1
 * organization: city
 * timeZone: Asia/Tokyo
 * profiles:
 *   - id: synthetic-type-a
 *     userNumberFormat: { alphabet: uppercase-alphanumeric, minimumLength: 8, maximumLength: 10 }
 *   - id: university-card
 *     organization: university
 *     userNumberFormat: { alphabet: digits, minimumLength: 8, maximumLength: 8 }
 * calendars:
 *   - id: city
 *     holidays: japan
 *     days:
 *       - { date: 2026-12-29, until: 2027-01-03, kind: year-end }
 *       - { date: 2026-11-03, kind: ordinary }
 * schedules:
 *   - id: office-hours
 *     calendar: city
 *     periods:
 *       - { days: [mon, tue, wed, thu, fri], from: "08:30", to: "19:00" }
 *       - { days: [year-end], from: "10:00", to: "12:00" }
 *   - id: night
 *     periods:
 *       - { days: [mon, tue, wed, thu, fri, sat, sun], from: "00:00", to: "06:00" }
 *       - { days: [mon, tue, wed, thu, fri, sat, sun], from: "22:00", to: "24:00" }
 * groups: [staff, cleaning]
 * doors:
 *   - id: main
 *     additional: [{ schedule: night, assurance: [pin] }]
 *   - id: library
 *     assurance: []
 * permissions:
 *   - { group: staff, door: main }
 *   - { group: cleaning, door: main, schedule: office-hours }
 * ```
 */
export interface SiteRules {
  readonly organization: string;
  /** IANA name; schedules and dates without an offset are read in it */
  readonly timeZone: string;
  readonly profiles: readonly RulesProfile[];
  readonly calendars: readonly RulesCalendar[];
  readonly schedules: readonly RulesSchedule[];
  readonly groups: readonly string[];
  readonly doors: readonly RulesDoor[];
  readonly permissions: readonly RulesPermission[];
  /** put in when the policy is made, where a calendar asks for them */
  readonly japaneseHolidays?: HolidayDates;
}

/** A card profile admitted, with the organization that issues its user numbers. */
export interface RulesProfile {
  readonly id: string;
  readonly organization: string;
  readonly userNumberFormat: z.infer<typeof userNumberFormatSchema>;
}

export interface RulesDoor {
  readonly id: string;
  readonly assurance: Assurance;
  readonly additional: readonly { readonly schedule: string; readonly assurance: Assurance }[];
}

export interface RulesPermission {
  readonly group: string;
  readonly door: string;
  readonly schedule?: string | undefined;
}

/** A door demands at least this of a card unless its rules say otherwise: a Type C clone opens nothing by default. */
export const defaultAssurance: Assurance = ['mutual-authentication', 'message-authentication'];

const assurance = z.array(z.enum(assuranceProperties));

const shape = z.strictObject({
  formatVersion: z.literal(1, 'must be 1; a newer number needs a newer program'),
  organization: id,
  timeZone: z
    .string()
    .refine(isTimeZone, 'must be an IANA time zone such as "Asia/Tokyo"')
    .default('Asia/Tokyo'),
  profiles: z
    .array(z.strictObject({ id, organization: id.optional(), userNumberFormat: userNumberFormatSchema }))
    .min(1, 'must admit at least one card profile'),
  calendars: z.array(calendarSchema).default([]),
  schedules: z.array(scheduleSchema).default([]),
  groups: z.array(id).default([]),
  doors: z.array(
    z.strictObject({
      id,
      assurance: assurance.default([...defaultAssurance]),
      additional: z.array(z.strictObject({ schedule: id, assurance: assurance.min(1) })).default([]),
    }),
  ),
  permissions: z.array(z.strictObject({ group: id, door: id, schedule: id.optional() })).default([]),
});

/** Schema of a site's rules; parse it with `parseYaml` so that each problem carries its line. */
export const siteRulesSchema = shape
  .superRefine((rules, context) => {
    for (const { path, message } of contradictions(rules)) {
      context.addIssue({ code: 'custom', path: [...path], message });
    }
  })
  .transform(({ formatVersion: _, profiles, ...rules }): SiteRules => {
    const organizationOf = (profile: { organization?: string | undefined }) =>
      profile.organization ?? rules.organization;
    return {
      ...rules,
      profiles: profiles.map((profile) => ({ ...profile, organization: organizationOf(profile) })),
    };
  });

interface Contradiction {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** Names that stand twice, and names that nothing bears. */
function* contradictions(rules: z.output<typeof shape>): Iterable<Contradiction> {
  for (const list of ['profiles', 'calendars', 'schedules', 'doors'] as const) {
    yield* repeated(rules[list].map((one) => one.id)).map((at) =>
      twice([list, at, 'id'], rules[list][at]?.id),
    );
  }
  yield* repeated(rules.groups).map((at) => twice(['groups', at], rules.groups[at]));
  const keys = rules.permissions.map(({ group, door, schedule }) => JSON.stringify([group, door, schedule]));
  yield* repeated(keys).map((at) => twice(['permissions', at], 'this permission'));

  yield* unknownDays(rules.schedules, rules.calendars);
  const schedules = new Set(rules.schedules.map((schedule) => schedule.id));
  const groups = new Set(rules.groups);
  const doors = new Set(rules.doors.map((door) => door.id));
  for (const [at, door] of rules.doors.entries()) {
    for (const [index, { schedule }] of door.additional.entries()) {
      if (!schedules.has(schedule)) yield unknown(['doors', at, 'additional', index], 'schedule', schedule);
    }
  }
  for (const [at, { group, door, schedule }] of rules.permissions.entries()) {
    if (!groups.has(group)) yield unknown(['permissions', at], 'group', group);
    if (!doors.has(door)) yield unknown(['permissions', at], 'door', door);
    if (schedule !== undefined && !schedules.has(schedule))
      yield unknown(['permissions', at], 'schedule', schedule);
  }
}

function repeated(names: readonly string[]): readonly number[] {
  const seen = new Set<string>();
  return names.flatMap((name, index) => {
    const again = seen.has(name);
    seen.add(name);
    return again ? [index] : [];
  });
}

function twice(path: Contradiction['path'], name = ''): Contradiction {
  return { path, message: `"${name}" stands twice; remove one` };
}

function unknown(
  path: Contradiction['path'],
  key: 'schedule' | 'group' | 'door',
  name: string,
): Contradiction {
  return {
    path: [...path, key],
    message: `"${name}" is not listed under ${key}s; add it there or correct it`,
  };
}
