import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decide, demandedAssurance } from '#core/access/decide.ts';
import { denialReasons } from '#core/access/decision.ts';
import type { PolicySlice, Schedule } from '#core/access/policy.ts';
import { inForce } from '#core/access/schedule.ts';
import { type AssuranceProperty, assuranceProperties, type Reading } from '#core/card/reading.ts';
import { decisionText, denialText } from '#core/texts/decisions.ts';

const tokyo = 'Asia/Tokyo';
/** Monday 2026-11-16, local time in Tokyo (UTC+9) */
const monday = (hour: number, minute = 0) => Date.UTC(2026, 10, 16, hour - 9, minute);
const office: Schedule = {
  id: 'office',
  periods: [{ days: ['mon', 'tue', 'wed', 'thu', 'fri'], fromMinute: 8 * 60, toMinute: 18 * 60 }],
};
const nights: Schedule = {
  id: 'nights',
  periods: [
    { days: ['mon'], fromMinute: 0, toMinute: 7 * 60 },
    { days: ['mon'], fromMinute: 19 * 60, toMinute: 1440 },
  ],
};

const reading: Reading = {
  organization: 'example',
  profileId: 'type-a',
  method: 'type-a',
  userNumber: '0012345678',
  assurance: ['mutual-authentication', 'message-authentication'],
  timings: { connectUs: 0, selectUs: 0, authenticateUs: 0, authenticateCardUs: 0, readUs: 0, exchanges: 4 },
};

function slice(changes: Partial<PolicySlice> = {}): PolicySlice {
  return {
    version: { number: 7, organization: 'example', timeZone: tokyo, installedAtMs: 0 },
    door: { doorId: 'front', base: ['mutual-authentication', 'message-authentication'], additional: [] },
    profileAdmitted: true,
    card: { profileId: 'type-a', userNumber: '0012345678', status: 'active' },
    otherCards: false,
    holder: { holderId: 'h1', status: 'active' },
    permissions: [{ groupId: 'staff' }],
    ...changes,
  };
}

const at = (utcMs: number) => ({ utcMs, floorMs: 0, trusted: true });
const reasonOf = (changes: Partial<PolicySlice>, time = at(monday(12))) => {
  const decision = decide(reading, 'front', slice(changes), time);
  return decision.kind === 'denied' ? decision.reason : decision.kind;
};
const without = (key: keyof PolicySlice): Partial<PolicySlice> => {
  const { [key]: _, ...rest } = slice();
  return { ...rest, [key]: undefined } as Partial<PolicySlice>;
};

describe('a decision', () => {
  it('refuses a key version from the moment its profile ends it, by the time that counts', () => {
    const old = { ...reading, keyVersion: 1, keyVersionEndsMs: monday(12) };
    const at = (utcMs: number, floorMs = 0, trusted = true) => {
      const decision = decide(old, 'front', slice(), { utcMs, floorMs, trusted });
      return decision.kind === 'denied' ? decision.reason : decision.kind;
    };
    expect(at(monday(12) - 1)).toBe('granted');
    expect(at(monday(12))).toBe('key-version-ended');
    // a clock that steps back revives no ended version
    expect(at(monday(9), monday(12), false)).toBe('key-version-ended');
    expect(at(monday(9), monday(11), false)).toBe('granted');
  });

  it('grants an active card of an active holder with a permission, and says on what it rests', () => {
    const decision = decide(
      reading,
      'front',
      slice({ permissions: [{ groupId: 'staff', schedule: office }] }),
      at(monday(9)),
    );
    expect(decision).toEqual({
      kind: 'granted',
      basis: {
        policyVersion: 7,
        doorId: 'front',
        timeMs: monday(9),
        clock: 'trusted',
        demanded: ['mutual-authentication', 'message-authentication'],
        permission: { groupId: 'staff', scheduleId: 'office' },
      },
    });
  });

  it.each([
    ['door-unknown', without('door')],
    ['profile-not-admitted', { profileAdmitted: false }],
    ['user-number-unknown', without('card')],
    ['card-not-registered', { ...without('card'), otherCards: true }],
    ['card-suspended', { card: { profileId: 'type-a', userNumber: '0012345678', status: 'suspended' } }],
    ['card-ended', { card: { profileId: 'type-a', userNumber: '0012345678', status: 'ended' } }],
    ['user-number-unknown', without('holder')],
    ['holder-suspended', { holder: { holderId: 'h1', status: 'suspended' } }],
    ['holder-ended', { holder: { holderId: 'h1', status: 'ended' } }],
    ['not-yet-valid', { holder: { holderId: 'h1', status: 'active', validFromMs: monday(12) + 1 } }],
    ['no-longer-valid', { holder: { holderId: 'h1', status: 'active', validUntilMs: monday(12) } }],
    ['no-permission', { permissions: [] }],
    ['outside-schedule', { permissions: [{ groupId: 'staff', schedule: nights }] }],
    ['assurance-insufficient', { door: { doorId: 'front', base: ['encryption'], additional: [] } }],
  ] as const)('denies: %s', (reason, changes) => {
    expect(reasonOf(changes as Partial<PolicySlice>)).toBe(reason);
  });

  it('is valid to the minute: from inclusive, until exclusive', () => {
    const holder = {
      holderId: 'h1',
      status: 'active',
      validFromMs: monday(12),
      validUntilMs: monday(12, 1),
    } as const;
    expect(reasonOf({ holder }, at(monday(12) - 1))).toBe('not-yet-valid');
    expect(reasonOf({ holder }, at(monday(12)))).toBe('granted');
    expect(reasonOf({ holder }, at(monday(12, 1) - 1))).toBe('granted');
    expect(reasonOf({ holder }, at(monday(12, 1)))).toBe('no-longer-valid');
  });

  it('asks for a PIN only while the schedule that demands it is in force', () => {
    const door = {
      doorId: 'front',
      base: ['mutual-authentication'] as const,
      additional: [{ schedule: nights, assurance: ['pin'] as const }],
    };
    expect(reasonOf({ door }, at(monday(6, 59)))).toBe('needs');
    expect(reasonOf({ door }, at(monday(7)))).toBe('granted');
    expect(reasonOf({ door }, at(monday(23, 59)))).toBe('needs');
    const withPin = { ...reading, assurance: [...reading.assurance, 'pin'] as const };
    expect(decide(withPin, 'front', slice({ door }), at(monday(6))).kind).toBe('granted');
  });

  it('never asks for a PIN where the card lacks more than that', () => {
    const door = { doorId: 'front', base: ['encryption', 'pin'] as const, additional: [] };
    expect(reasonOf({ door })).toBe('assurance-insufficient');
  });

  it('does not revive an expired permission when an untrusted clock steps back', () => {
    const holder = { holderId: 'h1', status: 'active', validUntilMs: monday(12) } as const;
    const steppedBack = { utcMs: monday(8), floorMs: monday(13), trusted: false };
    expect(reasonOf({ holder }, steppedBack)).toBe('no-longer-valid');
    const decision = decide(reading, 'front', slice(), steppedBack);
    expect(decision.basis).toMatchObject({ timeMs: monday(13), clock: 'untrusted' });
  });

  it('believes a trusted clock over a journal that once saw a wrong time', () => {
    const holder = { holderId: 'h1', status: 'active', validUntilMs: monday(12) } as const;
    expect(
      reasonOf({ holder }, { utcMs: monday(8), floorMs: monday(8) + 10 * 365 * 86_400_000, trusted: true }),
    ).toBe('granted');
  });
});

describe('property: nothing is granted without everything that a grant needs', () => {
  const status = fc.constantFrom('active', 'suspended', 'ended');
  const assurance = fc.subarray([...assuranceProperties]);
  const schedule = fc.constantFrom(office, nights);
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
          permission: fc.option(
            fc.record({ groupId: fc.constant('g'), schedule: fc.option(schedule, { nil: undefined }) }),
          ),
          validUntilMs: fc.option(fc.integer({ min: monday(0), max: monday(24) }), { nil: undefined }),
          utcMs: fc.integer({ min: monday(0), max: monday(24) }),
        }),
        (c) => {
          const candidate = slice({
            profileAdmitted: c.admitted,
            permissions: c.permission
              ? [c.permission.schedule ? { groupId: 'g', schedule: c.permission.schedule } : { groupId: 'g' }]
              : [],
            holder: {
              holderId: 'h1',
              status: c.holderStatus,
              ...(c.validUntilMs === undefined ? {} : { validUntilMs: c.validUntilMs }),
            },
          }) as { -readonly [K in keyof PolicySlice]: PolicySlice[K] };
          candidate.card = { profileId: 'type-a', userNumber: '0012345678', status: c.cardStatus };
          candidate.door = {
            doorId: 'front',
            base: c.base,
            additional: [{ schedule: nights, assurance: c.added }],
          };
          if (!c.hasCard) delete candidate.card;
          if (!c.hasDoor) delete candidate.door;
          const decision = decide({ ...reading, assurance: c.held }, 'front', candidate, at(c.utcMs));
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
          if (c.permission?.schedule) expect(inForce(c.permission.schedule, c.utcMs, tokyo)).toBe(true);
          expect(new Set(demandedAssurance(candidate, c.utcMs))).toEqual(wanted);
        },
      ),
      { numRuns: 2_000 },
    );
  });
});

describe('the words for decisions', () => {
  it('exist for every reason, language and audience, and the holder learns no secret', () => {
    for (const reason of denialReasons) {
      for (const audience of ['holder', 'operator'] as const) {
        const ja = denialText(reason, 'ja', audience);
        const en = denialText(reason, 'en', audience);
        expect(ja).toMatch(/[\u3040-\u30ff\u4e00-\u9fff]/);
        expect(en).toMatch(/^[A-Z]/);
        expect(ja).not.toBe(en);
      }
    }
    const unknown = denialText('user-number-unknown', 'en', 'holder');
    expect(denialText('card-suspended', 'en', 'holder')).toBe(unknown);
    const basis = decide(reading, 'front', slice(), at(monday(12))).basis;
    expect(decisionText({ kind: 'granted', basis }, 'ja', 'holder')).toBe('許可');
    expect(decisionText({ kind: 'needs', property: 'pin', basis }, 'en', 'holder')).toBe('Enter your PIN');
    expect(decisionText({ kind: 'denied', reason: 'pin-wrong', basis }, 'en', 'holder')).toBe('Wrong PIN');
  });
});
