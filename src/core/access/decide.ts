import { type AssuranceProperty, assuranceProperties, type Reading } from '#core/card/reading.ts';
import type { Decision, DecisionBasis, DenialReason } from './decision.ts';
import type { Permission, PolicySlice } from './policy.ts';
import { inForce } from './schedule.ts';

/**
 * The time of a decision. `floorMs` is the highest UTC this device has journalled: while the clock is not known to
 * be right, time never counts as earlier than that, so that a clock stepped back revives no expired permission.
 */
export interface DecisionTime {
  readonly utcMs: number;
  readonly floorMs: number;
  readonly trusted: boolean;
}

/** Milliseconds UTC that a decision at `time` is made with. */
export function effectiveMs(time: DecisionTime): number {
  return time.trusted ? time.utcMs : Math.max(time.utcMs, time.floorMs);
}

/**
 * Decides a reading at a door: granted, denied with the first reason that applies, or needing a PIN. Checks run
 * from the card to the holder to the door, so that a reason never reveals more than the one before it.
 * `doorId` names the door in the basis even where the policy does not know it.
 */
export function decide(reading: Reading, doorId: string, slice: PolicySlice, time: DecisionTime): Decision {
  const timeMs = effectiveMs(time);
  const zone = slice.version.timeZone;
  const demanded = demandedAssurance(slice, timeMs);
  const basis: DecisionBasis = {
    policyVersion: slice.version.number,
    doorId,
    timeMs,
    clock: time.trusted ? 'trusted' : 'untrusted',
    demanded,
  };
  const objection = objectionToReading(reading, slice, timeMs) ?? objectionToRecords(slice, timeMs);
  if (objection) return { kind: 'denied', reason: objection, basis };

  const permission = slice.permissions.find((p) => !p.schedule || inForce(p.schedule, timeMs, zone));
  if (!permission) {
    return {
      kind: 'denied',
      reason: slice.permissions.length === 0 ? 'no-permission' : 'outside-schedule',
      basis,
    };
  }
  const missing = demanded.filter((property) => !reading.assurance.includes(property));
  if (missing.some((property) => property !== 'pin')) {
    return { kind: 'denied', reason: 'assurance-insufficient', basis };
  }
  const full = { ...basis, permission: permissionBasis(permission) };
  return missing.length > 0
    ? { kind: 'needs', property: 'pin', basis: full }
    : { kind: 'granted', basis: full };
}

/** The assurance the slice's door demands at `timeMs`, in the fixed order of the properties. */
export function demandedAssurance(slice: PolicySlice, timeMs: number): readonly AssuranceProperty[] {
  const door = slice.door;
  if (!door) return [];
  const demanded = new Set<AssuranceProperty>(door.base);
  for (const entry of door.additional) {
    if (inForce(entry.schedule, timeMs, slice.version.timeZone)) {
      for (const property of entry.assurance) demanded.add(property);
    }
  }
  return assuranceProperties.filter((property) => demanded.has(property));
}

function objectionToReading(
  { keyVersionEndsMs }: Reading,
  slice: PolicySlice,
  timeMs: number,
): DenialReason | undefined {
  if (!slice.door) return 'door-unknown';
  if (!slice.profileAdmitted) return 'profile-not-admitted';
  return keyVersionEndsMs !== undefined && timeMs >= keyVersionEndsMs ? 'key-version-ended' : undefined;
}

function objectionToRecords(slice: PolicySlice, timeMs: number): DenialReason | undefined {
  if (!slice.card) return slice.otherCards ? 'card-not-registered' : 'user-number-unknown';
  if (slice.card.status !== 'active')
    return slice.card.status === 'suspended' ? 'card-suspended' : 'card-ended';
  const holder = slice.holder;
  if (!holder) return 'user-number-unknown';
  if (holder.status !== 'active') return holder.status === 'suspended' ? 'holder-suspended' : 'holder-ended';
  if (holder.validFromMs !== undefined && timeMs < holder.validFromMs) return 'not-yet-valid';
  if (holder.validUntilMs !== undefined && timeMs >= holder.validUntilMs) return 'no-longer-valid';
  return undefined;
}

function permissionBasis(permission: Permission): NonNullable<DecisionBasis['permission']> {
  return permission.schedule
    ? { groupId: permission.groupId, scheduleId: permission.schedule.id }
    : { groupId: permission.groupId };
}
