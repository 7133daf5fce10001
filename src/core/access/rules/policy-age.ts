import { z } from 'zod';
import type { PolicyVersion } from '#core/access/policy.ts';
import type { DecisionTime, Rule, Tap } from '#core/access/rule.ts';
import { groupIds } from '#core/access/rule-config.ts';
import { type AssuranceProperty, assuranceProperties } from '#core/card/reading.ts';
import { duration } from '#core/config/duration.ts';
import { groupAmong } from './holder-groups.ts';

const age = duration(60_000, 366 * 86_400_000);

/** How a door ages with the policy: ages are the time since the policy was last known to be current. */
export const ageingConfig = z
  .strictObject({
    announce: age.describe('age at which an alarm says what comes'),
    reduced: age.describe('age from which the door admits less'),
    closed: age.optional().describe('age from which cards open nothing; without it never'),
    inReduced: z
      .strictObject({
        assurance: z.array(z.enum(assuranceProperties)).default([]),
        groups: groupIds.optional().describe('the only ones admitted'),
      })
      .refine(({ assurance, groups }) => assurance.length > 0 || groups !== undefined, {
        error: 'must demand an assurance, or name the groups that are still admitted',
      }),
  })
  .refine(({ announce, reduced }) => announce < reduced, {
    path: ['reduced'],
    error: 'must be longer than "announce": nothing changes unannounced',
  })
  .refine(({ reduced, closed }) => closed === undefined || reduced < closed, {
    path: ['closed'],
    error: 'must be longer than "reduced": a door closes by steps',
  })
  .optional();
type Ageing = NonNullable<z.output<typeof ageingConfig>>;

export type PolicyTier = 'full' | 'reduced' | 'closed';

/** Where a door stands as its policy ages. */
export interface PolicyStanding {
  readonly tier: PolicyTier;
  /** whether it is time to say what comes, or it has come */
  readonly announced: boolean;
  /** what comes next unless the policy is renewed, and when, milliseconds UTC */
  readonly next?: { readonly tier: PolicyTier; readonly atMs: number };
}

/**
 * How `ageing` has a door stand at `nowMs`, which `ageingMs` gives; undefined where the policy never ages: the door has no
 * such rule, or nobody renews the policy.
 */
export function policyStanding(
  ageing: Ageing | undefined,
  version: PolicyVersion,
  nowMs: number,
): PolicyStanding | undefined {
  const { freshAtMs } = version;
  if (!ageing || freshAtMs === undefined) return undefined;
  const agedMs = nowMs - freshAtMs;
  const { announce, reduced, closed } = ageing;
  const announced = agedMs >= announce;
  if (closed !== undefined && agedMs >= closed) return { tier: 'closed', announced };
  const next =
    agedMs < reduced
      ? { tier: 'reduced' as const, atMs: freshAtMs + reduced }
      : closed === undefined
        ? undefined
        : { tier: 'closed' as const, atMs: freshAtMs + closed };
  return { tier: agedMs < reduced ? 'full' : 'reduced', announced, ...(next ? { next } : {}) };
}

/**
 * The time by which policies age, milliseconds UTC: the floor while the clock is not trusted, so that a clock set back
 * makes no policy younger, and one set ahead makes it older by no more than it moves the floor.
 */
export function ageingMs({ trusted, utcMs, floorMs }: DecisionTime): number {
  return trusted ? utcMs : floorMs;
}

/** A policy that nobody has confirmed for long admits less, step by step, and at last nobody. */
export const policyAge: Rule = {
  name: 'policy-age',
  check: (tap) => {
    const { slice, time } = tap;
    const ageing = slice.rules.door?.ageing;
    const tier = policyStanding(ageing, slice.version, ageingMs(time))?.tier ?? 'full';
    if (tier === 'full') return undefined;
    const used = { tier, freshAtMs: slice.version.freshAtMs ?? 0 };
    const groups = ageing?.inReduced.groups;
    const admitted = tier === 'reduced' && (groups === undefined || groupAmong(slice, groups) !== undefined);
    return admitted ? { kind: 'passed', used } : { kind: 'denied', reason: 'policy-too-old', used };
  },
};

/** What the door demands of a card because its policy is old. */
export function demandedByAge({ slice, time }: Pick<Tap, 'slice' | 'time'>): readonly AssuranceProperty[] {
  const ageing = slice.rules.door?.ageing;
  const tier = policyStanding(ageing, slice.version, ageingMs(time))?.tier ?? 'full';
  return tier === 'full' ? [] : (ageing?.inReduced.assurance ?? []);
}
