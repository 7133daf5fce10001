import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { blankState } from '#core/access/access-state.ts';
import { decide } from '#core/access/decide.ts';
import { denialReasons, waitReasons } from '#core/access/decision.ts';
import { type PolicySlice, scheduleOf } from '#core/access/policy.ts';
import type { DecisionTime } from '#core/access/rule.ts';
import { demandedAssurance } from '#core/access/rules/assurance.ts';
import { inForce } from '#core/access/schedule.ts';
import { type AssuranceProperty, assuranceProperties, type Reading } from '#core/card/reading.ts';
import { decisionText, reasonText } from '#core/texts/decisions.ts';
import { doorRules, staffSlice, tapRequest, trustedTime } from '../policy-slices.ts';

const tokyo = 'Asia/Tokyo';
/** Monday 2026-11-16, local time in Tokyo (UTC+9) */
const monday = (hour: number, minute = 0) => Date.UTC(2026, 10, 16, hour - 9, minute);
const schedules = [
  {
    id: 'office',
    periods: [{ days: ['mon' as const, 'tue' as const, 'fri' as const], from: '08:00', to: '18:00' }],
  },
  {
    id: 'nights',
    periods: [
      { days: ['mon' as const], from: '00:00', to: '07:00' },
      { days: ['mon' as const], from: '19:00', to: '24:00' },
    ],
  },
];
const nights = scheduleOf(doorRules({ id: 'front' }, { schedules }), 'nights');

const reading: Reading = {
  organization: 'example',
  profileId: 'type-a',
  method: 'type-a',
  userNumber: '0012345678',
  assurance: ['mutual-authentication', 'message-authentication'],
  timings: { connectUs: 0, selectUs: 0, authenticateUs: 0, authenticateCardUs: 0, readUs: 0, exchanges: 4 },
};

const slice = staffSlice;
const at = trustedTime;
const decided = (of: Reading, changes: Partial<PolicySlice>, time: DecisionTime) =>
  decide({ reading: of, request: tapRequest(), slice: slice(changes), state: blankState, time });
const reasonOf = (changes: Partial<PolicySlice>, time: DecisionTime = at(monday(12))) => {
  const decision = decided(reading, changes, time);
  return decision.kind === 'denied' ? decision.reason : decision.kind;
};
const without = (key: keyof PolicySlice): Partial<PolicySlice> => {
  const { [key]: _, ...rest } = slice();
  return { ...rest, [key]: undefined } as Partial<PolicySlice>;
};
const { door: _, ...doorless } = doorRules({ id: 'front' });
const front = (door: Parameters<typeof doorRules>[0]) => ({ rules: doorRules(door, { schedules }) });
const permittedIn = (schedule: string) => ({
  rules: doorRules(
    { id: 'front' },
    { schedules, permissions: [{ group: 'staff', door: 'front', schedule }] },
  ),
});

describe('a decision', () => {
  it('refuses a key version from the moment its profile ends it, by the time that counts', () => {
    const old = { ...reading, keyVersion: 1, keyVersionEndsMs: monday(12) };
    const outcome = (utcMs: number, floorMs = 0, trusted = true) => {
      const decision = decided(old, {}, { ...at(utcMs), floorMs, trusted });
      return decision.kind === 'denied' ? decision.reason : decision.kind;
    };
    expect(outcome(monday(12) - 1)).toBe('granted');
    expect(outcome(monday(12))).toBe('key-version-ended');
    // a clock that steps back revives no ended version
    expect(outcome(monday(9), monday(12), false)).toBe('key-version-ended');
    expect(outcome(monday(9), monday(11), false)).toBe('granted');
  });

  it.each([
    [1, 2, 'key-version-ended'],
    [2, 2, 'granted'],
    // given new keys that no list tells of yet
    [3, 2, 'granted'],
    [undefined, 2, 'granted'],
    [1, undefined, 'granted'],
  ])('of a card with keys of version %s whose record says %s: %s', (read, recorded, expected) => {
    const card = { profileId: 'type-a', userNumber: '0012345678', status: 'active' as const };
    const decision = decided(
      { ...reading, ...(read && { keyVersion: read }) },
      { card: { ...card, ...(recorded && { keyVersion: recorded }) } },
      at(monday(12)),
    );
    expect(decision.kind === 'denied' ? decision.reason : decision.kind).toBe(expected);
  });

  it('grants an active card of an active holder with a permission, and says on what it rests', () => {
    const decision = decided(reading, permittedIn('office'), at(monday(9)));
    expect(decision).toEqual({
      kind: 'granted',
      basis: {
        policyVersion: 7,
        doorId: 'front',
        timeMs: monday(9),
        clock: 'trusted',
        demanded: ['mutual-authentication', 'message-authentication'],
        path: [
          { rule: 'registration', verdict: 'passed' },
          { rule: 'assurance', verdict: 'passed' },
          { rule: 'permission', verdict: 'passed', used: { group: 'staff', schedule: 'office' } },
        ],
      },
      obligations: {},
      changes: [],
      alarms: [],
    });
  });

  it.each([
    ['door-unknown', { rules: doorless }],
    ['profile-not-admitted', { profileAdmitted: false }],
    ['user-number-unknown', without('card')],
    ['card-not-registered', { ...without('card'), otherCards: true }],
    ['card-suspended', { card: { profileId: 'type-a', userNumber: '0012345678', status: 'suspended' } }],
    ['card-ended', { card: { profileId: 'type-a', userNumber: '0012345678', status: 'ended' } }],
    ['user-number-unknown', without('holder')],
    ['holder-suspended', { holder: { holderId: 'h1', status: 'suspended', groups: [] } }],
    ['holder-ended', { holder: { holderId: 'h1', status: 'ended', groups: [] } }],
    [
      'not-yet-valid',
      { holder: { holderId: 'h1', status: 'active', groups: ['staff'], validFromMs: monday(12) + 1 } },
    ],
    [
      'no-longer-valid',
      { holder: { holderId: 'h1', status: 'active', groups: ['staff'], validUntilMs: monday(12) } },
    ],
    ['no-permission', { holder: { holderId: 'h1', status: 'active', groups: [] } }],
    ['outside-schedule', permittedIn('nights')],
    ['assurance-insufficient', front({ id: 'front', assurance: ['encryption'] })],
  ] as const)('denies: %s', (reason, changes) => {
    expect(reasonOf(changes as Partial<PolicySlice>)).toBe(reason);
  });

  it('is valid to the minute: from inclusive, until exclusive', () => {
    const holder = {
      holderId: 'h1',
      status: 'active' as const,
      groups: ['staff'],
      validFromMs: monday(12),
      validUntilMs: monday(12, 1),
    };
    expect(reasonOf({ holder }, at(monday(12) - 1))).toBe('not-yet-valid');
    expect(reasonOf({ holder }, at(monday(12)))).toBe('granted');
    expect(reasonOf({ holder }, at(monday(12, 1) - 1))).toBe('granted');
    expect(reasonOf({ holder }, at(monday(12, 1)))).toBe('no-longer-valid');
  });

  it('asks for a PIN only while the schedule that demands it is in force', () => {
    const door = front({
      id: 'front',
      assurance: ['mutual-authentication'],
      additional: [{ schedule: 'nights', assurance: ['pin'] }],
    });
    expect(reasonOf(door, at(monday(6, 59)))).toBe('needs');
    expect(reasonOf(door, at(monday(7)))).toBe('granted');
    expect(reasonOf(door, at(monday(23, 59)))).toBe('needs');
    const withPin = { ...reading, assurance: [...reading.assurance, 'pin'] as const };
    expect(decided(withPin, door, at(monday(6))).kind).toBe('granted');
  });

  it('never asks for a PIN where the card lacks more than that', () => {
    expect(reasonOf(front({ id: 'front', assurance: ['encryption', 'pin'] }))).toBe('assurance-insufficient');
  });

  it('does not revive an expired permission when an untrusted clock steps back', () => {
    const holder = { holderId: 'h1', status: 'active', groups: ['staff'], validUntilMs: monday(12) } as const;
    const steppedBack = { ...at(monday(8)), floorMs: monday(13), trusted: false };
    expect(reasonOf({ holder }, steppedBack)).toBe('no-longer-valid');
    const decision = decided(reading, {}, steppedBack);
    expect(decision.basis).toMatchObject({ timeMs: monday(13), clock: 'untrusted' });
  });

  it('believes a trusted clock over a journal that once saw a wrong time', () => {
    const holder = { holderId: 'h1', status: 'active', groups: ['staff'], validUntilMs: monday(12) } as const;
    expect(reasonOf({ holder }, { ...at(monday(8)), floorMs: monday(8) + 10 * 365 * 86_400_000 })).toBe(
      'granted',
    );
  });
});

describe('property: nothing is granted without everything that a grant needs', () => {
  const status = fc.constantFrom('active', 'suspended', 'ended');
  const assurance = fc.subarray([...assuranceProperties]);
  const schedule = fc.constantFrom('office', 'nights');
  it('holds for any slice, reading and time', () => {
    fc.assert(
      fc.property(
        fc.record({
          cardStatus: status,
          holderStatus: status,
          hasDoor: fc.boolean(),
          admitted: fc.boolean(),
          hasCard: fc.boolean(),
          held: assurance,
          base: assurance,
          added: assurance,
          permission: fc.option(fc.record({ schedule: fc.option(schedule, { nil: undefined }) })),
          validUntilMs: fc.option(fc.integer({ min: monday(0), max: monday(24) }), { nil: undefined }),
          utcMs: fc.integer({ min: monday(0), max: monday(24) }),
        }),
        (c) => {
          const candidate = slice({
            profileAdmitted: c.admitted,
            holder: {
              holderId: 'h1',
              status: c.holderStatus,
              groups: ['staff'],
              ...(c.validUntilMs === undefined ? {} : { validUntilMs: c.validUntilMs }),
            },
          }) as { -readonly [K in keyof PolicySlice]: PolicySlice[K] };
          candidate.card = { profileId: 'type-a', userNumber: '0012345678', status: c.cardStatus };
          const all = doorRules(
            {
              id: 'front',
              assurance: c.base,
              additional: c.added.length > 0 ? [{ schedule: 'nights', assurance: c.added }] : [],
            },
            {
              schedules,
              permissions: c.permission
                ? [{ group: 'staff', door: 'front', schedule: c.permission.schedule }]
                : [],
            },
          );
          const { door: _, ...without } = all;
          candidate.rules = c.hasDoor ? all : without;
          if (!c.hasCard) delete candidate.card;
          const decision = decide({
            reading: { ...reading, assurance: c.held },
            request: tapRequest(),
            slice: candidate,
            state: blankState,
            time: at(c.utcMs),
          });
          if (decision.kind === 'denied') return;
          const wanted = new Set<AssuranceProperty>(c.base);
          if (inForce(nights, c.utcMs, tokyo)) for (const property of c.added) wanted.add(property);
          const missing = [...wanted].filter((property) => !c.held.includes(property));
          expect(missing).toEqual(decision.kind === 'needs' ? ['pin'] : []);
          expect([c.cardStatus, c.holderStatus, c.hasDoor, c.admitted, c.hasCard]).toEqual([
            'active',
            'active',
            true,
            true,
            true,
          ]);
          expect(c.validUntilMs === undefined || c.utcMs < c.validUntilMs).toBe(true);
          expect(c.permission).not.toBeNull();
          if (c.permission?.schedule)
            expect(inForce(scheduleOf(all, c.permission.schedule), c.utcMs, tokyo)).toBe(true);
          const tap = { slice: candidate, time: at(c.utcMs), timeMs: c.utcMs };
          expect(new Set(demandedAssurance(tap))).toEqual(wanted);
        },
      ),
      { numRuns: 2_000 },
    );
  });
});

describe('the words for decisions', () => {
  it('exist for every reason, language and audience, and the holder learns no secret', () => {
    for (const reason of [...denialReasons, ...waitReasons]) {
      for (const audience of ['holder', 'operator'] as const) {
        const ja = reasonText(reason, 'ja', audience);
        const en = reasonText(reason, 'en', audience);
        expect(ja).toMatch(/[\u3040-\u30ff\u4e00-\u9fff]/);
        expect(en).toMatch(/^[A-Z]/);
        expect(ja).not.toBe(en);
      }
    }
    const unknown = reasonText('user-number-unknown', 'en', 'holder');
    expect(reasonText('card-suspended', 'en', 'holder')).toBe(unknown);
    const basis = decided(reading, {}, at(monday(12))).basis;
    expect(
      decisionText({ kind: 'granted', basis, obligations: {}, changes: [], alarms: [] }, 'ja', 'holder'),
    ).toBe('許可');
    expect(decisionText({ kind: 'needs', property: 'pin', basis }, 'en', 'holder')).toBe('Enter your PIN');
    expect(
      decisionText({ kind: 'denied', reason: 'pin-wrong', basis, changes: [], alarms: [] }, 'en', 'holder'),
    ).toBe('Wrong PIN');
  });
});
