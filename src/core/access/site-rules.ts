import { z } from 'zod';
import { type Assurance, assuranceProperties } from '#core/card/reading.ts';
import { userNumberFormatSchema } from '#core/card/user-number-format.ts';
import { calendarSchema, type HolidayDates, type RulesCalendar } from './calendar.ts';
import { id } from './rule-config.ts';
import { duressConfig } from './rules/duress.ts';
import { escortConfig } from './rules/escort.ts';
import { evacuationConfig } from './rules/evacuation.ts';
import { holdConfig } from './rules/hold.ts';
import { lockOutConfig } from './rules/lock-out.ts';
import { lockdownConfig } from './rules/lockdown.ts';
import { masterConfig } from './rules/master-card.ts';
import { occupancyConfig } from './rules/occupancy.ts';
import { passbackConfig } from './rules/passback.ts';
import { ageingConfig } from './rules/policy-age.ts';
import { reentryConfig } from './rules/reentry.ts';
import { serviceConfig } from './rules/service.ts';
import { clearanceConfig, clearancesConfig } from './rules/threat-level.ts';
import { twoPersonConfig } from './rules/two-person.ts';
import { type RulesSchedule, scheduleSchema } from './schedule.ts';
import { contradictions } from './site-rules-check.ts';
import { whileTimeUnknownConfig } from './time-unknown.ts';
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
export interface SiteRules extends SitewideRules {
  readonly organization: string;
  /** IANA name; schedules and dates without an offset are read in it */
  readonly timeZone: string;
  readonly profiles: readonly RulesProfile[];
  readonly calendars: readonly RulesCalendar[];
  readonly schedules: readonly RulesSchedule[];
  readonly groups: readonly string[];
  readonly zones: readonly RulesZone[];
  readonly doors: readonly RulesDoor[];
  readonly permissions: readonly RulesPermission[];
  /** put in when the policy is made, where a calendar asks for them */
  readonly japaneseHolidays?: HolidayDates;
}

/** Rules of no single door. */
export type SitewideRules = z.output<typeof sitewide>;
export type RulesZone = z.output<typeof zoneShape>;
export type RulesDoor = z.output<typeof doorShape>;
export type RulesPermission = z.output<typeof permissionShape>;

/** A card profile admitted, with the organization that issues its user numbers. */
export interface RulesProfile {
  readonly id: string;
  readonly organization: string;
  readonly userNumberFormat: z.infer<typeof userNumberFormatSchema>;
}

/** A door demands at least this of a card unless its rules say otherwise: a Type C clone opens nothing by default. */
export const defaultAssurance: Assurance = ['mutual-authentication', 'message-authentication'];

const assurance = z.array(z.enum(assuranceProperties));

const zoneShape = z.strictObject({
  id,
  clearance: clearanceConfig,
  passback: passbackConfig,
  reentry: reentryConfig,
  occupancy: occupancyConfig,
});

const doorShape = z.strictObject({
  id,
  assurance: assurance.default([...defaultAssurance]),
  additional: z.array(z.strictObject({ schedule: id, assurance: assurance.min(1) })).default([]),
  whileTimeUnknown: whileTimeUnknownConfig,
  ageing: ageingConfig,
  clearance: clearanceConfig,
  ...holdConfig,
  reentry: reentryConfig,
  twoPerson: twoPersonConfig,
  escort: escortConfig,
});

const permissionShape = z
  .strictObject({
    group: id,
    door: id.optional(),
    zone: id.optional().describe('every reader that leads to this zone'),
    schedule: id.optional(),
    floors: z.array(id).min(1).optional().describe('of an elevator: these floors, without which all of them'),
  })
  .refine(({ door, zone }) => (door === undefined) !== (zone === undefined), {
    error: 'must name either a door or a zone',
  });

const sitewide = z.strictObject({
  lockdown: lockdownConfig,
  evacuation: evacuationConfig,
  master: masterConfig,
  clearances: clearancesConfig,
  terminalGroups: z
    .array(z.strictObject({ id, terminals: z.array(id).min(1) }))
    .default([])
    .describe('terminals that count together, by the name in the configuration of each'),
  lockOut: lockOutConfig,
  duress: duressConfig,
  services: z.array(serviceConfig).default([]).describe('what is counted for holders besides doors'),
  longerAccess: z.array(id).default([]).describe('groups whose grants last the longer time of each door'),
});

export type SiteRulesInYaml = z.output<typeof shape>;
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
  zones: z.array(zoneShape).default([]),
  doors: z.array(doorShape),
  permissions: z.array(permissionShape).default([]),
  ...sitewide.shape,
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
