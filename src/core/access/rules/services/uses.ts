import { z } from 'zod';
import { factOf } from '#core/access/access-state.ts';
import { counted, hasRoom, partsSchema, standsApart, total } from '#core/access/counting.ts';
import type { Tap, Verdict } from '#core/access/rule.ts';
import { countScope, id } from '#core/access/rule-config.ts';
import { localParts } from '#core/access/time-zone.ts';

export const usesConfig = z.strictObject({
  id,
  kind: z.literal('uses'),
  limit: z.int().min(1).max(1_000_000),
  per: z
    .enum(['day', 'month', 'year', 'fiscal-year'])
    .optional()
    .describe('they are new in each; in all where absent. A fiscal year (年度) begins on 1 April'),
  scope: countScope,
});
type UsesConfig = z.output<typeof usesConfig>;

export const usesSchema = z.strictObject({ period: z.string(), parts: partsSchema });

/**
 * Remaining uses: tickets, a subsidy. A new period begins only by a trusted clock, and no clock brings an old one back:
 * while time is not trusted the period last used goes on, and who has used none yet has to wait.
 */
export function uses(tap: Tap, config: UsesConfig, holderId: string): Verdict {
  const { id: service, limit, per, scope } = config;
  const key = per === undefined ? `uses/${service}` : `uses/${service}/${per}`;
  const known = factOf(usesSchema, key, tap.state.holder(key));
  const period = periodOf(tap, config, known?.period);
  if (period === undefined) return { kind: 'denied', reason: 'time-unknown', used: { service } };
  const parts = known?.period === period ? known.parts : [];
  const used = { service, period, limit, used: total(parts) };
  if (standsApart(scope, tap)) return { kind: 'denied', reason: 'group-apart', used };
  if (!hasRoom({ more: 1, limit, parts, scope, tap }))
    return { kind: 'denied', reason: 'no-uses-left', used };
  const next = counted(parts, tap.state.terminal, 1);
  return {
    kind: 'passed',
    used,
    obligations: { service: { id: service, result: 'used', left: Math.max(0, limit - total(next)) } },
    changes: [{ key, holderId, value: { period, parts: next }, ifPassed: true }],
  };
}

function periodOf({ time, timeMs, slice }: Tap, { per }: UsesConfig, known: string | undefined) {
  if (per === undefined) return '';
  if (!time.trusted) return known;
  const { year, month, day } = localParts(timeMs, slice.version.timeZone);
  const text = (number: number, digits: number) => String(number).padStart(digits, '0');
  const now = {
    day: `${text(year, 4)}-${text(month, 2)}-${text(day, 2)}`,
    month: `${text(year, 4)}-${text(month, 2)}`,
    year: text(year, 4),
    'fiscal-year': text(month >= 4 ? year : year - 1, 4),
  }[per];
  return known !== undefined && known > now ? known : now;
}
