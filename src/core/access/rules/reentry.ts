import { z } from 'zod';
import { factOf, type StateChange } from '#core/access/access-state.ts';
import { standsApart } from '#core/access/counting.ts';
import { momentOf, momentSchema, passedMs } from '#core/access/moment.ts';
import type { Rule, Tap } from '#core/access/rule.ts';
import { groupIds, scope } from '#core/access/rule-config.ts';
import { duration } from '#core/config/duration.ts';
import { groupAmong } from './holder-groups.ts';

export const reentryConfig = z
  .strictObject({
    after: duration(1_000, 7 * 86_400_000).describe('how long the same holder is not let through again'),
    exempt: groupIds.optional(),
    scope,
  })
  .optional()
  .describe('timed anti-passback');

/**
 * Timed anti-passback: nobody passes a door in the same direction, or enters a zone, again within a time. It needs no
 * reader on the way out. Only time that has surely passed counts, so that neither a reboot nor a clock shortens it.
 */
export const reentry: Rule = {
  name: 'reentry',
  ofPassing: true,
  check: (tap) => {
    const limits = limitsOf(tap);
    if (limits.length === 0) return undefined;
    for (const { key, after, apart } of limits) {
      if (apart) return { kind: 'denied', reason: 'group-apart', used: { of: key } };
      const last = factOf(momentSchema, key, tap.state.holder(key));
      const leftMs = last ? after - passedMs(last, tap) : 0;
      if (leftMs > 0) return { kind: 'denied', reason: 'too-soon', used: { of: key, leftMs } };
    }
    return { kind: 'passed' };
  },
};

function configured(tap: Tap) {
  const { rules } = tap.slice;
  const { doorId, from, to } = tap.request;
  const entered = to === undefined || from === to ? undefined : rules.zones.get(to);
  return [
    { key: `passed/door/${doorId}/${to ?? ''}`, config: rules.door?.reentry },
    { key: `passed/zone/${to}`, config: entered?.reentry },
  ].flatMap(({ key, config }) => (config ? [{ key, config }] : []));
}

function limitsOf(
  tap: Tap,
): readonly { readonly key: string; readonly after: number; readonly apart: boolean }[] {
  return configured(tap).flatMap(({ key, config }) =>
    groupAmong(tap.slice, config.exempt) !== undefined
      ? []
      : [{ key, after: config.after, apart: standsApart(config.scope, tap) }],
  );
}

/**
 * What is remembered of everyone who passes, exempt or not: of two who pass together one may be. `position` does it,
 * whoever else objected in vain.
 */
export function remembered(
  tap: Tap,
  persons: readonly { readonly holderId: string }[],
): readonly StateChange[] {
  return configured(tap).flatMap(({ key }) =>
    persons.map(({ holderId }) => ({ key, holderId, value: { ...momentOf(tap) }, ifPassed: true as const })),
  );
}
