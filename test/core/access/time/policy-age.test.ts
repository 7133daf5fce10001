import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { blankState } from '#core/access/access-state.ts';
import { decide } from '#core/access/decide.ts';
import { policyStanding } from '#core/access/rules/policy-age.ts';
import { siteRulesSchema } from '#core/access/site-rules.ts';
import type { AssuranceProperty, Reading } from '#core/card/reading.ts';
import { doorRules, staffSlice } from '../../../policy-slices.ts';

const hour = 3_600_000;
const day = 24 * hour;
const fresh = Date.parse('2026-11-16T12:00:00+09:00');

const ageing = {
  announce: '1 d',
  reduced: '3 d',
  closed: '30 d',
  inReduced: { groups: ['guards'], assurance: ['encryption' as const] },
};
const reading: Reading = {
  organization: 'example',
  profileId: 'type-a',
  method: 'type-a',
  userNumber: '0012345678',
  assurance: ['mutual-authentication', 'message-authentication'],
  timings: { connectUs: 0, selectUs: 0, authenticateUs: 0, authenticateCardUs: 0, readUs: 0, exchanges: 4 },
};

interface Case {
  readonly ageMs: number;
  readonly groups?: readonly string[];
  readonly more?: readonly AssuranceProperty[];
  readonly freshAtMs?: number | undefined;
  readonly clock?: { readonly utcMs: number; readonly floorMs: number; readonly trusted: boolean };
  readonly rule?: object | undefined;
}

function decided({ ageMs, groups = ['staff'], more = [], clock, ...rest }: Case) {
  const freshAtMs = 'freshAtMs' in rest ? rest.freshAtMs : fresh;
  const rule = 'rule' in rest ? rest.rule : ageing;
  const rules = doorRules(
    { id: 'front', ...(rule ? { ageing: rule as typeof ageing } : {}) },
    {
      groups: ['staff', 'guards'],
      permissions: ['staff', 'guards'].map((group) => ({ group, door: 'front' })),
    },
  );
  const base = staffSlice();
  return decide({
    reading: { ...reading, assurance: [...reading.assurance, ...more] },
    request: { doorId: 'front', readerId: 'in', tapId: 't1' },
    slice: {
      ...base,
      rules,
      version: { ...base.version, ...(freshAtMs === undefined ? {} : { freshAtMs }) },
      holder: { holderId: 'h1', status: 'active', groups },
    },
    state: blankState,
    time: {
      ...(clock ?? { utcMs: fresh + ageMs, floorMs: 0, trusted: true }),
      monotonicMs: 0,
      bootId: 'boot-1',
    },
  });
}

function outcome(c: Case): string {
  const decision = decided(c);
  return decision.kind === 'denied' ? decision.reason : decision.kind;
}

describe('a policy that nobody confirms', () => {
  const guard = { groups: ['guards'], more: ['encryption' as const] };
  it.each([
    ['on the day', 0, 'granted', 'granted'],
    ['announced: nothing is different yet', day, 'granted', 'granted'],
    ['the last moment in full', 3 * day - 1, 'granted', 'granted'],
    ['reduced', 3 * day, 'assurance-insufficient', 'granted'],
    ['the last moment reduced', 30 * day - 1, 'assurance-insufficient', 'granted'],
    ['closed', 30 * day, 'assurance-insufficient', 'policy-too-old'],
    ['ten years on', 3_652 * day, 'assurance-insufficient', 'policy-too-old'],
    // fresh by a clock ahead of this one
    ['in the future', -day, 'granted', 'granted'],
  ] as const)('%s', (_, ageMs, staff, guards) => {
    expect(outcome({ ageMs })).toBe(staff);
    expect(outcome({ ageMs, ...guard })).toBe(guards);
  });

  it('admits the named groups alone once reduced, and says on what it rests', () => {
    const { kind, basis } = decided({ ageMs: 4 * day, more: ['encryption'] });
    expect(kind).toBe('denied');
    expect(basis.demanded).toContain('encryption');
    expect(basis.path.at(-1)).toEqual({
      rule: 'policy-age',
      verdict: 'denied',
      used: { tier: 'reduced', freshAtMs: fresh },
    });
  });

  it('never closes a door without `closed`, and never ages where nobody could renew it or no rule says so', () => {
    const { closed: _, ...open } = ageing;
    expect(outcome({ ageMs: 3_652 * day, rule: open, ...guard })).toBe('granted');
    expect(outcome({ ageMs: 3_652 * day, freshAtMs: undefined })).toBe('granted');
    expect(outcome({ ageMs: 3_652 * day, rule: undefined })).toBe('granted');
  });

  it('grows no younger by an untrusted clock set back, and no older by one that is ahead', () => {
    const at = (utcMs: number, trusted: boolean) => ({ utcMs, floorMs: fresh + 31 * day, trusted });
    expect(outcome({ ageMs: 0, ...guard, clock: at(fresh, false) })).toBe('policy-too-old');
    expect(outcome({ ageMs: 0, ...guard, clock: at(fresh, true) })).toBe('granted');
    const ahead = { utcMs: fresh + 3_652 * day, floorMs: fresh, trusted: false };
    expect(outcome({ ageMs: 0, clock: ahead })).toBe('granted');
    expect(outcome({ ageMs: 0, clock: { ...ahead, trusted: true } })).toBe('assurance-insufficient');
  });

  it('says beforehand what comes and when', () => {
    const door = doorRules({ id: 'front', ageing }, { groups: ['staff', 'guards'] }).door;
    const version = {
      number: 1,
      organization: 'example',
      timeZone: 'Asia/Tokyo',
      installedAtMs: 0,
      freshAtMs: fresh,
    };
    const standing = (ageMs: number) => policyStanding(door?.ageing, version, fresh + ageMs);
    const reduced = { tier: 'reduced', atMs: fresh + 3 * day };
    const closed = { tier: 'closed', atMs: fresh + 30 * day };
    expect(standing(0)).toEqual({ tier: 'full', announced: false, next: reduced });
    expect(standing(day)).toEqual({ tier: 'full', announced: true, next: reduced });
    expect(standing(3 * day)).toEqual({ tier: 'reduced', announced: true, next: closed });
    expect(standing(30 * day)).toEqual({ tier: 'closed', announced: true });
  });

  it('property: each step comes just when it was announced, after the announcement, and never goes back', () => {
    const spans = fc
      .uniqueArray(fc.integer({ min: 1, max: 8_000 }), { minLength: 3, maxLength: 3 })
      .map((hours) => hours.sort((a, b) => a - b).map((span) => span * hour));
    fc.assert(
      fc.property(spans, fc.boolean(), fc.array(fc.nat({ max: 9_000 * hour })), (edges, closes, ages) => {
        const [announce = 0, reduced = 0, closed = 0] = edges;
        const rule = {
          announce,
          reduced,
          ...(closes ? { closed } : {}),
          inReduced: { assurance: [], groups: ['g'] },
        };
        const version = { number: 1, organization: 'o', timeZone: 'UTC', installedAtMs: 0, freshAtMs: fresh };
        const order = ['full', 'reduced', 'closed'];
        let last = 0;
        for (const ageMs of ages.sort((a, b) => a - b)) {
          const standing = policyStanding(rule, version, fresh + ageMs);
          if (!standing) throw new Error('it ages');
          const rank = order.indexOf(standing.tier);
          expect(rank).toBeGreaterThanOrEqual(last);
          if (rank > 0) expect(standing.announced).toBe(true);
          if (standing.next) {
            expect(standing.next.atMs).toBeGreaterThan(fresh + ageMs);
            const { tier } = policyStanding(rule, version, standing.next.atMs) ?? {};
            expect(tier).toBe(standing.next.tier);
            expect(policyStanding(rule, version, standing.next.atMs - 1)?.tier).toBe(standing.tier);
          } else expect(standing.tier).toBe(closes ? 'closed' : 'reduced');
          last = rank;
        }
      }),
    );
  });
});

describe('the rule how a door ages', () => {
  const problems = (rule: object) => {
    const parsed = siteRulesSchema.safeParse({
      formatVersion: 1,
      organization: 'example',
      profiles: [{ id: 'p', userNumberFormat: { alphabet: 'digits', minimumLength: 8, maximumLength: 8 } }],
      groups: ['guards'],
      doors: [{ id: 'front', ageing: { ...ageing, ...rule } }],
    });
    return parsed.success ? [] : parsed.error.issues.map(({ message }) => message).join('\n');
  };
  it('is refused where a step would come unannounced, all at once or without effect', () => {
    expect(problems({})).toEqual([]);
    expect(problems({ announce: '3 d' })).toMatch(/nothing changes unannounced/);
    expect(problems({ closed: '3 d' })).toMatch(/closes by steps/);
    expect(problems({ inReduced: {} })).toMatch(/must demand an assurance, or name the groups/);
    expect(problems({ inReduced: { groups: ['gards'] } })).toMatch(/"gards" is not listed/);
    expect(problems({ closed: '400 d' })).toMatch(/out of range/);
  });
});
