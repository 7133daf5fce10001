import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lacksHolidays } from '#core/access/calendar.ts';
import { type Holder, type PolicySlice, rulesOfDoor } from '#core/access/policy.ts';
import { type SiteRules, siteRulesSchema } from '#core/access/site-rules.ts';
import { contradictions } from '#core/access/site-rules-check.ts';
import { readRules, rulesBytes } from '#core/sync/rules-chunk.ts';
import { inView, type PolicyView, viewOf } from '#core/sync/view.ts';
import { holders, Pair, policies, rulesOf, steps } from '../access/reference/pair.ts';
import { outcomeOf } from '../access/rules/rule-bench.ts';

const profiles = [
  { id: 'type-a', userNumberFormat: { alphabet: 'digits', minimumLength: 8, maximumLength: 10 } } as const,
];

/** What a policy has of other terminals' places. */
const elsewhere = {
  calendars: [
    { id: 'national', holidays: 'japan' as const, days: [] },
    { id: 'own', days: [{ date: '2026-12-29', kind: 'closed' }] },
  ],
  schedules: [
    { id: 'daily', periods: [{ days: ['mon' as const], from: '00:00', to: '24:00' }] },
    { id: 'festive', calendar: 'national', periods: [{ days: ['holiday'], from: '09:00', to: '17:00' }] },
    { id: 'closing', calendar: 'own', periods: [{ days: ['closed'], from: '09:00', to: '17:00' }] },
  ],
  doors: [{ id: 'back', toggle: { groups: ['porter'], schedule: 'festive' } }],
};
const places = { doors: ['front'], zones: ['yard', 'lab'], services: ['vote', 'taxi'] };
const japaneseHolidays = { firstYear: 2026, lastYear: 2027, days: { '2026-11-23': 'holiday' } };

function siteOf(policy: Parameters<typeof rulesOf>[0]): SiteRules {
  const [rules, door] = rulesOf(policy);
  const parsed = siteRulesSchema.parse({
    formatVersion: 1,
    organization: 'example',
    profiles,
    ...elsewhere,
    ...rules,
    groups: [...(rules.groups ?? []), 'porter', 'nobody'],
    zones: [...(rules.zones ?? []), { id: 'cellar' }],
    doors: [{ id: 'front', ...door }, ...elsewhere.doors],
    permissions: [
      ...(rules.permissions ?? []),
      { group: 'porter', door: 'back', schedule: 'closing' },
      { group: 'porter', zone: 'cellar' },
    ],
  });
  return { ...parsed, japaneseHolidays };
}

function sliceOf(rules: SiteRules, holder: Holder | undefined): Partial<PolicySlice> {
  const found = { rules: rulesOfDoor(rules, 'front') };
  if (holder) return { ...found, holder };
  return { ...found, holder: undefined, card: undefined } as unknown as Partial<PolicySlice>;
}

function seenIn(view: PolicyView, holder: Holder): Holder | undefined {
  return inView(view, { ...holder, cards: [] });
}

describe('a view of a policy', () => {
  it('decides as the whole does, for every holder, door and time', () => {
    fc.assert(
      fc.property(policies, fc.array(steps, { minLength: 5, maxLength: 30 }), (policy, course) => {
        const rules = siteOf(policy);
        const view = viewOf(rules, places);
        const [whole, part] = [new Pair(policy), new Pair(policy)];
        whole.bench.lookUp = (holder) => sliceOf(rules, holder);
        part.bench.lookUp = (holder) => sliceOf(view.rules, seenIn(view, holder));
        for (const step of course) {
          whole.run(step);
          part.run(step);
          if (step.do !== 'tap') continue;
          const [one, other] = [whole.decisions.at(-1), part.decisions.at(-1)];
          if (!one || !other) throw new Error('a tap is decided');
          const { holder, groups } = holders[step.who] ?? holders[0];
          const seen = seenIn(view, { holderId: holder, status: 'active', groups });
          if (seen) expect(JSON.stringify(other)).toBe(JSON.stringify(one));
          else expect([one.kind, outcomeOf(other)]).toEqual(['denied', expect.stringMatching(unseen)]);
        }
      }),
      { numRuns: 150 },
    );
  });

  it('has what is referred to and no more, and goes through its bytes unchanged', () => {
    fc.assert(
      fc.property(policies, fc.subarray(['front', 'back', 'gone']), (policy, doors) => {
        const rules = siteOf(policy);
        const view = viewOf(rules, { doors, zones: [], services: [] });
        expect([...contradictions(view.rules)]).toEqual([]);
        expect(lacksHolidays(view.rules)).toBe(false);
        expect(view.rules.services).toEqual([]);
        expect(view.rules.doors.map(({ id }) => id)).toEqual(
          ['front', 'back'].filter((id) => doors.includes(id)),
        );
        const back = doors.includes('back');
        expect(view.rules.schedules.map(({ id }) => id)).toEqual(back ? ['festive', 'closing'] : []);
        expect(view.rules.calendars.length).toBe(back ? 2 : 0);
        expect(view.rules.japaneseHolidays).toEqual(back ? japaneseHolidays : undefined);
        expect(view.rules.groups).not.toContain('nobody');
        expect(readRules(rulesBytes(view.rules), 'example')).toEqual({
          kind: 'accepted',
          value: JSON.parse(JSON.stringify(view.rules)),
        });
      }),
      { numRuns: 50 },
    );
  });

  it('has holders with a group that opens, with the groups that its rules name', () => {
    const rules = siteRulesSchema.parse({
      formatVersion: 1,
      organization: 'example',
      profiles,
      groups: ['staff', 'slow', 'master', 'other'],
      doors: [{ id: 'front' }, { id: 'back' }],
      permissions: [
        { group: 'staff', door: 'front' },
        { group: 'other', door: 'back' },
      ],
      longerAccess: ['slow'],
      master: { groups: ['master'], freshFor: '24 h' },
    });
    const view = viewOf(rules, { doors: ['front'], zones: [], services: [] });
    const seen = (...groups: string[]) =>
      seenIn(view, { holderId: 'h', status: 'suspended', groups })?.groups;
    expect(seen('other', 'slow', 'staff')).toEqual(['slow', 'staff']);
    expect(seen('master')).toEqual(['master']);
    for (const groups of [[], ['other'], ['slow'], ['other', 'slow']]) {
      expect(seen(...groups)).toBeUndefined();
    }
  });

  it('is shared by terminals that need the same of holders', () => {
    const rules = siteRulesSchema.parse({
      formatVersion: 1,
      organization: 'example',
      profiles,
      groups: ['staff', 'other'],
      doors: [{ id: 'a' }, { id: 'b' }, { id: 'c' }],
      permissions: [
        { group: 'staff', door: 'a' },
        { group: 'staff', door: 'b' },
        { group: 'other', door: 'c' },
      ],
    });
    const part = (door: string) => viewOf(rules, { doors: [door], zones: [], services: [] }).holderPart;
    expect(part('a')).toBe(part('b'));
    expect(part('a')).not.toBe(part('c'));
  });
});

/** what a terminal says of who has nothing to open there; what protects the reader comes first */
const unseen = /^(?:user-number-unknown|locked-out)$/;

describe('rules as a chunk', () => {
  const rules = siteRulesSchema.parse({ formatVersion: 1, organization: 'example', profiles, doors: [] });

  it('are refused of another organization, malformed, or of a later format', () => {
    expect(readRules(rulesBytes(rules), 'city')).toEqual({ kind: 'refused', reason: 'other-organization' });
    const { lockOut: _, ...less } = rules;
    expect(readRules(rulesBytes(less as SiteRules), 'example').kind).toBe('refused');
    const text = (value: string) => readRules(new TextEncoder().encode(value), 'example');
    expect(text('{"format":2}')).toEqual({ kind: 'refused', reason: 'format-unknown' });
    expect(text('{')).toEqual({ kind: 'refused', reason: 'malformed' });
  });
});
