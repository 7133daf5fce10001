import { Fault } from '#core/fault.ts';
import type { RulesSchedule, Schedule } from './schedule.ts';
import type { RulesDoor, RulesPermission, RulesZone, SiteRules, SitewideRules } from './site-rules.ts';

/** Status of a holder or a card: only `active` opens anything. */
export const recordStatuses = ['active', 'suspended', 'ended'] as const;
export type RecordStatus = (typeof recordStatuses)[number];

/** A person known to an organization; `validUntilMs` is exclusive, both in milliseconds UTC. */
export interface Holder {
  readonly holderId: string;
  readonly status: RecordStatus;
  readonly validFromMs?: number;
  readonly validUntilMs?: number;
  readonly groups: readonly string[];
}

/** One physical card of a holder. Without a diversifier the record stands for any card with the user number. */
export interface HolderCard {
  readonly profileId: string;
  readonly userNumber: string;
  readonly status: RecordStatus;
  /** the card has these keys or later ones */
  readonly keyVersion?: number;
  readonly diversifier?: string;
}

export interface PolicyVersion {
  readonly number: number;
  readonly organization: string;
  /** IANA name; schedules are read in it */
  readonly timeZone: string;
  readonly installedAtMs: number;
  /** when whoever issues the policy last said that it is current, milliseconds UTC; absent where nobody does */
  readonly freshAtMs?: number;
  /** from when on it must not be installed any more, milliseconds UTC */
  readonly expiresAtMs?: number;
}

/** The rules that bear on one door, arranged once for each version of the policy. */
export interface DoorRules {
  /** absent when the policy does not know the door */
  readonly door?: RulesDoor;
  /** those of this door, and those of zones, into which any of its readers may lead */
  readonly permissions: readonly RulesPermission[];
  readonly schedules: ReadonlyMap<string, Schedule>;
  readonly zones: ReadonlyMap<string, RulesZone>;
  /** what holds everywhere */
  readonly site: SitewideRules;
}

/** The policy as far as it bears on one door without a tap. */
export interface DoorPolicy {
  readonly version: PolicyVersion;
  readonly rules: DoorRules;
}

/** All that a decision needs of the policy for one tap: looked up once, never a million rows. */
export interface PolicySlice extends DoorPolicy {
  /** whether the policy admits card APs of this profile and organization */
  readonly profileAdmitted: boolean;
  /** the record of exactly this card, else the record that stands for any card with this user number */
  readonly card?: HolderCard;
  /** whether records of other cards with the same user number exist (so this card is not one of the holder's) */
  readonly otherCards: boolean;
  readonly holder?: Holder;
}

/**
 * The rules of `doorId`; undefined stands for a door that the policy does not know. Throws `database-invalid` where a
 * calendar lacks the public holidays it asks for.
 */
export function rulesOfDoor(rules: SiteRules, doorId: string | undefined): DoorRules {
  const {
    organization,
    timeZone,
    profiles,
    calendars,
    schedules,
    groups,
    zones,
    doors,
    permissions,
    japaneseHolidays,
    ...site
  } = rules;
  const door = doors.find((one) => one.id === doorId);
  return {
    ...(door ? { door } : {}),
    permissions: permissions.filter(({ door, zone }) => zone !== undefined || door === doorId),
    schedules: new Map(schedules.map((schedule) => [schedule.id, withCalendar(schedule, rules)])),
    zones: new Map(zones.map((zone) => [zone.id, zone])),
    site,
  };
}

/**
 * The schedule `id`. Throws `database-invalid` where the policy lacks it: a rule whose schedule is not there must not
 * turn into one that always holds.
 */
export function scheduleOf({ schedules }: DoorRules, id: string): Schedule {
  const schedule = schedules.get(id);
  if (!schedule)
    throw new Fault('database-invalid', `the policy refers to schedule "${id}", which it does not have`);
  return schedule;
}

function withCalendar(
  { id, calendar, periods }: RulesSchedule,
  { calendars, japaneseHolidays }: SiteRules,
): Schedule {
  if (calendar === undefined) return { id, periods };
  const named = calendars.find((one) => one.id === calendar);
  if (!named || (named.holidays && !japaneseHolidays)) {
    throw new Fault('database-invalid', `calendar "${calendar}" is not in the policy with all its days`);
  }
  const holidays = named.holidays ? (japaneseHolidays?.days ?? {}) : {};
  return { id, periods, calendar: { days: named.days, holidays } };
}
