import type { z } from 'zod';
import { type DoorRules, type PolicySlice, rulesOfDoor } from '#core/access/policy.ts';
import type { TapRequest } from '#core/access/rule.ts';
import { siteRulesSchema } from '#core/access/site-rules.ts';

type RulesInput = z.input<typeof siteRulesSchema>;
type DoorInput = RulesInput['doors'][number];

/** Rules of one door as a policy would bring them; everything not said is as small as it can be. */
export function doorRules(
  door: Partial<DoorInput> & { readonly id: string },
  rest: Partial<RulesInput> = {},
): DoorRules {
  const parsed = siteRulesSchema.parse({
    formatVersion: 1,
    organization: 'example',
    profiles: [
      { id: 'type-a', userNumberFormat: { alphabet: 'digits', minimumLength: 8, maximumLength: 8 } },
    ],
    groups: ['staff'],
    permissions: [{ group: 'staff', door: door.id }],
    ...rest,
    doors: [door, ...(rest.doors ?? [])],
  } satisfies RulesInput);
  return rulesOfDoor(parsed, door.id);
}

/** A slice that grants a holder of group `staff` at door `front`, with `changes` to it. */
export function staffSlice(changes: Partial<PolicySlice> = {}): PolicySlice {
  return {
    version: { number: 7, organization: 'example', timeZone: 'Asia/Tokyo', installedAtMs: 0 },
    rules: doorRules({ id: 'front' }),
    profileAdmitted: true,
    card: { profileId: 'type-a', userNumber: '0012345678', status: 'active' },
    otherCards: false,
    holder: { holderId: 'h1', status: 'active', groups: ['staff'] },
    ...changes,
  };
}

/** What one tap at the door `front` asks for. */
export function tapRequest(changes: Partial<TapRequest> = {}): TapRequest {
  return { doorId: 'front', readerId: 'front-outside', tapId: 'tap-1', ...changes };
}

/** A time as a trusted clock tells it. */
export function trustedTime(utcMs: number) {
  return { utcMs, floorMs: 0, trusted: true, monotonicMs: 0, bootId: 'boot-1' };
}
