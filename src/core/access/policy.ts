import type { Assurance } from '#core/card/reading.ts';

/** Status of a holder or a card: only `active` opens anything. */
export const recordStatuses = ['active', 'suspended', 'ended'] as const;
export type RecordStatus = (typeof recordStatuses)[number];

export const weekdays = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
export type Weekday = (typeof weekdays)[number];

/** A period of local time on the named days, `from` inclusive, `to` exclusive, in minutes after midnight (0 to 1440). */
export interface SchedulePeriod {
  readonly days: readonly Weekday[];
  readonly fromMinute: number;
  readonly toMinute: number;
}

export interface Schedule {
  readonly id: string;
  readonly periods: readonly SchedulePeriod[];
}

/** A person known to an organization; `validUntilMs` is exclusive, both in milliseconds UTC. */
export interface Holder {
  readonly holderId: string;
  readonly status: RecordStatus;
  readonly validFromMs?: number;
  readonly validUntilMs?: number;
}

/** One physical card of a holder. Without a diversifier the record stands for any card with the user number. */
export interface HolderCard {
  readonly profileId: string;
  readonly userNumber: string;
  readonly status: RecordStatus;
  readonly keyVersion?: number;
  readonly diversifier?: string;
}

/** Assurance a door demands: `base` always, and what each entry adds while its schedule is in force. */
export interface DoorPolicy {
  readonly doorId: string;
  readonly base: Assurance;
  readonly additional: readonly { readonly schedule: Schedule; readonly assurance: Assurance }[];
}

/** A permission that joins the holder's groups with the door; without a schedule it holds at any time. */
export interface Permission {
  readonly groupId: string;
  readonly schedule?: Schedule;
}

export interface PolicyVersion {
  readonly number: number;
  readonly organization: string;
  /** IANA name; schedules are read in it */
  readonly timeZone: string;
  readonly installedAtMs: number;
}

/** All that a decision needs of the policy for one tap: looked up once, never a million rows. */
export interface PolicySlice {
  readonly version: PolicyVersion;
  /** absent when the policy does not know the door */
  readonly door?: DoorPolicy;
  /** whether the policy admits card APs of this profile and organization */
  readonly profileAdmitted: boolean;
  /** the record of exactly this card, else the record that stands for any card with this user number */
  readonly card?: HolderCard;
  /** whether records of other cards with the same user number exist (so this card is not one of the holder's) */
  readonly otherCards: boolean;
  readonly holder?: Holder;
  readonly permissions: readonly Permission[];
}
