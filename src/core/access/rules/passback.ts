import { z } from 'zod';
import { standsApart } from '#core/access/counting.ts';
import { passedMs } from '#core/access/moment.ts';
import type { Rule, Tap, Used, Verdict } from '#core/access/rule.ts';
import { groupIds, scope, timeOfDay } from '#core/access/rule-config.ts';
import { localParts, utcOfLocal } from '#core/access/time-zone.ts';
import { duration } from '#core/config/duration.ts';
import { groupAmong } from './holder-groups.ts';
import { type Position, positionOf } from './position.ts';

export const passbackConfig = z
  .strictObject({
    mode: z.enum(['hard', 'soft']).describe('hard: refused; soft: let through, and staff is told'),
    forgiveAfter: duration(60_000, 30 * 86_400_000)
      .optional()
      .describe('a position older than this counts for nothing'),
    forgiveAt: timeOfDay.optional().describe('positions from before this time of day count for nothing'),
    exempt: groupIds.optional(),
    scope,
  })
  .optional()
  .describe('nobody enters the zone while inside, nor leaves it while outside');
type PassbackConfig = NonNullable<z.output<typeof passbackConfig>>;

type Violation = 'already-inside' | 'not-inside';

/**
 * Anti-passback by area: what the reader leads from and to is held against where the holder is. A position nobody knows
 * offends nothing. It survives a reboot; while the clock is not trusted, no time of day forgives, and `forgiveAfter`
 * counts only what has surely passed.
 */
export const passback: Rule = {
  name: 'passback',
  ofPassing: true,
  check: (tap) => {
    const { from, to } = tap.request;
    if (from === to) return undefined;
    const at = positionOf(tap.state.holder('at'), tap.state);
    const judged = [
      judge(tap, { zone: to, at, violation: at?.zone === to ? 'already-inside' : undefined }),
      judge(tap, { zone: from, at, violation: at && at.zone !== from ? 'not-inside' : undefined }),
    ].filter((verdict) => verdict !== undefined);
    return judged.find(({ kind }) => kind === 'denied') ?? judged.find(isNoted) ?? judged[0];
  },
};

function isNoted(verdict: Verdict): boolean {
  return verdict.kind === 'passed' && verdict.alarms !== undefined;
}

function judge(
  tap: Tap,
  found: {
    readonly zone: string | undefined;
    readonly at: Position | undefined;
    readonly violation: Violation | undefined;
  },
): Verdict | undefined {
  const { zone, at, violation } = found;
  const config = zone === undefined ? undefined : tap.slice.rules.zones.get(zone)?.passback;
  if (zone === undefined || !config || groupAmong(tap.slice, config.exempt) !== undefined) return undefined;
  const used: Used = { zone, mode: config.mode, at: at ? at.zone : 'unknown' };
  if (standsApart(config.scope, tap)) return { kind: 'denied', reason: 'group-apart', used };
  if (!violation || !at) return { kind: 'passed', used };
  if (isForgiven(at, config, tap)) return { kind: 'passed', used: { ...used, violation, forgiven: true } };
  return config.mode === 'hard'
    ? { kind: 'denied', reason: violation, used }
    : { kind: 'passed', used: { ...used, violation }, alarms: ['passback'] };
}

function isForgiven({ since }: Position, { forgiveAfter, forgiveAt }: PassbackConfig, tap: Tap): boolean {
  if (forgiveAfter !== undefined && passedMs(since, tap) >= forgiveAfter) return true;
  if (forgiveAt === undefined || !tap.time.trusted || !since.trusted) return false;
  return since.utcMs < lastAt(forgiveAt, tap);
}

/** The last moment, at or before now, at which clocks of the policy showed `minute` after midnight. */
function lastAt(minute: number, { timeMs, slice }: Tap): number {
  const { timeZone } = slice.version;
  const { year, month, day } = localParts(timeMs, timeZone);
  const on = (back: number) => {
    const date = new Date(Date.UTC(year, month - 1, day - back));
    return utcOfLocal(
      {
        year: date.getUTCFullYear(),
        month: date.getUTCMonth() + 1,
        day: date.getUTCDate(),
        hour: Math.floor(minute / 60),
        minute: minute % 60,
      },
      timeZone,
    );
  };
  const today = on(0);
  return today <= timeMs ? today : on(1);
}
