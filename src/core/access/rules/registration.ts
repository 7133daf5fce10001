import type { DenialReason } from '#core/access/decision.ts';
import type { Rule, Tap } from '#core/access/rule.ts';

/** The card is one the policy knows, of a holder it knows, and both may be used now. The first objection counts. */
export const registration: Rule = {
  name: 'registration',
  check: (tap) => {
    const reason = objectionToReading(tap) ?? objectionToRecords(tap);
    return reason ? { kind: 'denied', reason } : { kind: 'passed' };
  },
};

function objectionToReading({ reading, slice, timeMs }: Tap): DenialReason | undefined {
  const { keyVersionEndsMs } = reading;
  if (!slice.rules.door) return 'door-unknown';
  if (!slice.profileAdmitted) return 'profile-not-admitted';
  return keyVersionEndsMs !== undefined && timeMs >= keyVersionEndsMs ? 'key-version-ended' : undefined;
}

function objectionToRecords({ slice, timeMs }: Tap): DenialReason | undefined {
  const { card, holder } = slice;
  if (!card) return slice.otherCards ? 'card-not-registered' : 'user-number-unknown';
  if (card.status !== 'active') return card.status === 'suspended' ? 'card-suspended' : 'card-ended';
  if (!holder) return 'user-number-unknown';
  if (holder.status !== 'active') return holder.status === 'suspended' ? 'holder-suspended' : 'holder-ended';
  if (holder.validFromMs !== undefined && timeMs < holder.validFromMs) return 'not-yet-valid';
  if (holder.validUntilMs !== undefined && timeMs >= holder.validUntilMs) return 'no-longer-valid';
  return undefined;
}
