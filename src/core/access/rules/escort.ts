import { z } from 'zod';
import type { Companion } from '#core/access/access-state.ts';
import type { Rule, Tap } from '#core/access/rule.ts';
import { groupIds } from '#core/access/rule-config.ts';
import { duration } from '#core/config/duration.ts';
import { groupAmong } from './holder-groups.ts';
import { waitingAt, waitingOf } from './two-person.ts';

export const escortConfig = z
  .strictObject({
    of: groupIds.describe('groups that pass only with an escort'),
    by: groupIds.describe('groups that escort; whoever is in both needs no escort'),
    within: duration(1_000, 600_000)
      .prefault('30 s')
      .describe('how far apart the taps of the two may lie, whichever comes first'),
  })
  .optional();

/**
 * Who needs an escort passes within a time of an escort's tap at the same reader. Who taps before the escort waits, and
 * the escort's tap opens for both; of several who wait, the last. Windows are this boot's: a reboot ends them.
 */
export const escort: Rule = {
  name: 'escort',
  ofPassing: true,
  check: (tap) => {
    const config = tap.slice.rules.door?.escort;
    if (!config) return undefined;
    const tapped = waitingOf(tap);
    const [escortKey, waitingKey] = keysOf(tap);
    if (groupAmong(tap.slice, config.by) !== undefined) {
      const waiting = escorted(tap) && waitingAt(waitingKey, config.within, tap);
      return {
        kind: 'passed',
        ...(waiting ? { used: { with: waiting.tapId } } : {}),
        changes: [
          { key: escortKey, value: tapped, ifObeyed: true },
          { key: waitingKey, ifObeyed: true },
        ],
      };
    }
    if (groupAmong(tap.slice, config.of) === undefined) return undefined;
    const before = waitingAt(escortKey, config.within, tap);
    if (before) return { kind: 'passed', used: { with: before.tapId } };
    return { kind: 'waits', reason: 'escort', changes: [{ key: waitingKey, value: tapped }] };
  },
};

/** Who waits for this tap, where it is an escort's. */
export function escorted(tap: Tap): Companion | undefined {
  const config = tap.slice.rules.door?.escort;
  if (!config || groupAmong(tap.slice, config.by) === undefined) return undefined;
  const [, waitingKey] = keysOf(tap);
  const waiting = waitingAt(waitingKey, config.within, tap);
  return waiting && tap.state.companion(waiting.tapId);
}

function keysOf({ request }: Tap): readonly [string, string] {
  return [`escort/${request.readerId}`, `escorted/${request.readerId}`];
}
