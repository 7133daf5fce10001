import type { DenialReason } from '#core/access/decision.ts';
import type { Holder } from '#core/access/policy.ts';
import type { Rule, Tap } from '#core/access/rule.ts';
import { timeUnknown } from '#core/access/time-unknown.ts';

/** The card is one the policy knows, of a holder it knows, and both may be used now. The first objection counts. */
export const registration: Rule = {
  name: 'registration',
  check: (tap) => {
    const reason = objectionToReading(tap) ?? objectionToRecords(tap);
    return reason ? { kind: 'denied', reason } : { kind: 'passed' };
  },
};

function objectionToReading(tap: Tap): DenialReason | undefined {
  const { reading, slice, timeMs } = tap;
  const { keyVersionEndsMs } = reading;
  if (!slice.rules.door) return 'door-unknown';
  if (!slice.profileAdmitted) return 'profile-not-admitted';
  if (keyVersionEndsMs === undefined) return undefined;
  if (timeUnknown(tap) === 'deny') return 'time-unknown';
  return timeMs >= keyVersionEndsMs ? 'key-version-ended' : undefined;
}

function objectionToRecords(tap: Tap): DenialReason | undefined {
  const { card, holder, otherCards } = tap.slice;
  const { keyVersion } = tap.reading;
  if (!card) return otherCards ? 'card-not-registered' : 'user-number-unknown';
  if (card.status !== 'active') return card.status === 'suspended' ? 'card-suspended' : 'card-ended';
  // keys are replaced by later versions: a card with an earlier one than its record is the card from before
  const replaced = card.keyVersion !== undefined && keyVersion !== undefined && keyVersion < card.keyVersion;
  if (replaced) return 'key-version-ended';
  if (!holder) return 'user-number-unknown';
  if (holder.status !== 'active') return holder.status === 'suspended' ? 'holder-suspended' : 'holder-ended';
  return objectionToTime(tap, holder);
}

function objectionToTime(tap: Tap, { validFromMs, validUntilMs }: Holder): DenialReason | undefined {
  if (validFromMs === undefined && validUntilMs === undefined) return undefined;
  if (timeUnknown(tap) === 'deny') return 'time-unknown';
  if (validFromMs !== undefined && tap.timeMs < validFromMs) return 'not-yet-valid';
  return validUntilMs !== undefined && tap.timeMs >= validUntilMs ? 'no-longer-valid' : undefined;
}
