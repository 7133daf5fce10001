import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { StateChange } from '#core/access/access-state.ts';
import { total } from '#core/access/counting.ts';
import {
  type Conflict,
  conflictIn,
  isRevocable,
  joinFacts,
  takenBack,
  type Unused,
} from '#core/access/fact-kinds.ts';
import { forgetPosition, peopleIn, resetZone } from '#core/access/rules/position.ts';
import type { JsonValue } from '#core/journal/record.ts';
import { doorRules } from '../../policy-slices.ts';
import { RuleBench } from './rules/rule-bench.ts';

const moment = fc
  .record({
    terminal: fc.constantFrom('a', 'b', 'c'),
    utcMs: fc.integer({ min: 0, max: 3 }),
    trusted: fc.boolean(),
  })
  .map((value) => ({ ...value, monotonicMs: 0, bootId: 'x' }));
/** what one terminal counts grows in version with each change: equal versions are equal numbers */
const parts = fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.integer({ min: 1, max: 4 })).map((versions) =>
  Object.entries(versions)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([terminal, v]) => ({ terminal, n: (v * 7) % 5, v })),
);
const epoch = fc.integer({ min: 1, max: 3 });
const kinds: readonly (readonly [string, fc.Arbitrary<JsonValue>])[] = [
  ['at', fc.record({ zone: fc.constantFrom(null, 'lab', 'yard'), epoch, since: moment })],
  ['epoch/lab', epoch],
  ['count/lab', fc.record({ epoch, parts })],
  ['passed/door/front/lab', moment],
  ['attendance/work', fc.record({ last: fc.constantFrom('in', 'out'), since: moment })],
  ['once/vote', moment],
  ['uses/taxi/month', fc.record({ period: fc.constantFrom('2026-10', '2026-11'), parts })],
  ['loans/books', parts],
  ['loan/books/a', fc.record({ v: epoch, out: fc.boolean(), terminal: fc.constantFrom('a', 'b') })],
];

describe('facts that two terminals know differently', () => {
  it.each(kinds)('%s join alike in any order, any grouping, and any number of times', (key, value) => {
    const join = (a: JsonValue, b: JsonValue) => joinFacts(key, a, b) as JsonValue;
    fc.assert(
      fc.property(value, value, value, (a, b, c) => {
        expect(join(a, b)).toEqual(join(b, a));
        expect(join(join(a, b), c)).toEqual(join(a, join(b, c)));
        expect(join(a, a)).toEqual(a);
        expect(join(join(a, b), b)).toEqual(join(a, b));
      }),
      { numRuns: 300 },
    );
  });

  it.each(['two-person/front', 'escort/front', 'failures', 'site/lockdown', 'hold/front'])(
    '%s is one terminal’s own business',
    (key) => expect(joinFacts(key, 1, 2)).toBeUndefined(),
  );
});

describe('of two values', () => {
  const at = (utcMs: number, terminal = 'a') => ({
    terminal,
    utcMs,
    trusted: true,
    monotonicMs: 0,
    bootId: 'x',
  });
  const place = (zone: string, utcMs: number) => ({ zone, epoch: 0, since: at(utcMs) });

  it.each<[string, JsonValue, JsonValue]>([
    ['at', place('lab', 2), place('yard', 1)],
    ['epoch/lab', 2, 1],
    ['count/lab', { epoch: 2, parts: [] }, { epoch: 1, parts: [{ terminal: 'a', n: 9, v: 9 }] }],
    ['passed/zone/lab', at(2), at(1)],
    ['once/vote', at(1), at(2)],
    ['uses/taxi/day', { period: '2026-11-17', parts: [] }, { period: '2026-11-16', parts: [] }],
    ['attendance/work', { last: 'in', since: at(2) }, { last: 'out', since: at(1) }],
    ['loan/books/a', { v: 2, out: false, terminal: 'a' }, { v: 1, out: true, terminal: 'b' }],
  ])('of %s the right one holds', (key, right, wrong) => {
    expect(joinFacts(key, right, wrong)).toEqual(right);
    expect(joinFacts(key, wrong, right)).toEqual(right);
  });
});

describe('what terminals of a group did to each other', () => {
  const scope = { group: 'gates', apart: 'grant' };
  const site = {
    terminalGroups: [{ id: 'gates', terminals: ['a', 'b'] }],
    zones: [{ id: 'lab', occupancy: { limit: 1, scope }, passback: { mode: 'hard', scope } }],
    services: [
      { id: 'vote', kind: 'once', scope },
      { id: 'taxi', kind: 'uses', limit: 1, scope },
      { id: 'books', kind: 'loan', limit: 1, scope },
    ],
  };
  const rules = doorRules({ id: 'front' }, site as never);
  const lend = (item: string) => ({ service: { id: 'books', action: 'lend' as const, item } });
  type Asked = Parameters<RuleBench['outcome']>;
  const cases: readonly (readonly [Conflict, string, Asked, Asked])[] = [
    ['entered-twice', 'h1|at', [{}, { to: 'lab' }], [{}, { to: 'lab' }]],
    ['zone-overfull', '|count/lab', [{}, { to: 'lab' }], [{ holderId: 'h2' }, { to: 'lab' }]],
    ['admitted-twice', 'h1|once/vote', [{}, { service: { id: 'vote' } }], [{}, { service: { id: 'vote' } }]],
    ['uses-exceeded', 'h1|uses/taxi', [{}, { service: { id: 'taxi' } }], [{}, { service: { id: 'taxi' } }]],
    ['loans-exceeded', 'h1|loans/books', [{}, lend('a')], [{}, lend('b')]],
    ['lent-twice', '|loan/books/a', [{}, lend('a')], [{ holderId: 'h2' }, lend('a')]],
  ];

  it.each(cases)('while apart is found: %s', (conflict, name, first, second) => {
    const benches = ['a', 'b'].map((terminal) => {
      const bench = new RuleBench(site as never);
      bench.terminal = terminal;
      return bench;
    });
    const [a, b] = benches as [RuleBench, RuleBench];
    expect(a.outcome(...first)).toBe('granted');
    const key = name.split('|')[1] ?? '';
    const asked = () => ({ key, base: undefined, ours: a.facts.get(name), theirs: b.facts.get(name), rules });
    expect(conflictIn(asked())).toBeUndefined();
    expect(b.outcome(...second)).toBe('granted');
    expect(conflictIn(asked())).toBe(conflict);
    expect(conflictIn({ ...asked(), base: a.facts.get(name) })).toBeUndefined();

    const joined = joinFacts(key, a.facts.get(name) ?? null, b.facts.get(name) ?? null);
    expect(conflictIn({ ...asked(), base: joined, ours: joined, theirs: joined })).toBeUndefined();
    for (const one of benches) one.facts.set(name, joined ?? null);
    // what was granted twice is known now, and nothing more is granted
    if (conflict !== 'zone-overfull' && conflict !== 'lent-twice')
      expect(a.outcome(...first)).not.toBe('granted');
  });

  it('is nothing where the rule denies while the group is apart, or this terminal is none of it', () => {
    const denying = JSON.parse(JSON.stringify(site).replaceAll('"grant"', '"deny"'));
    for (const [, , [who, request]] of cases) {
      const bench = new RuleBench(denying);
      bench.terminal = 'a';
      expect(bench.outcome(who, request)).toBe('group-apart');
      bench.apart = false;
      expect(bench.outcome(who, request)).toBe('granted');
      const stranger = new RuleBench(site as never);
      stranger.terminal = 'c';
      stranger.apart = false;
      expect(stranger.outcome(who, request)).toBe('group-apart');
    }
  });
});

describe('a quota held to shares', () => {
  const services = (limit: number, share: number) => [
    { id: 'taxi', kind: 'uses' as const, limit, scope: { group: 'gates', apart: 'share' as const, share } },
  ];
  const terminals = ['a', 'b', 'c'];
  const groups = [{ id: 'gates', terminals }];
  const key = 'h1|uses/taxi';

  it('is never exceeded, whoever talks to whom and when', () => {
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.record({ tap: fc.integer({ min: 0, max: 2 }) }) },
      fc.record({ joined: fc.boolean() }),
    );
    fc.assert(
      fc.property(
        fc.integer({ min: 3, max: 9 }),
        fc.integer({ min: 1, max: 3 }),
        fc.array(step, { maxLength: 30 }),
        (limit, wanted, steps) => {
          const share = Math.min(wanted, Math.floor(limit / 3));
          const benches = terminals.map((terminal) => {
            const bench = new RuleBench({ services: services(limit, share), terminalGroups: groups });
            bench.terminal = terminal;
            return bench;
          });
          let granted = 0;
          let together = false;
          for (const one of steps) {
            if ('joined' in one) together = one.joined;
            else {
              const bench = benches[one.tap];
              if (bench) bench.apart = !together;
              if (bench?.outcome({}, { service: { id: 'taxi' } }) === 'granted') granted += 1;
            }
            if (together) exchange(benches);
          }
          expect(granted).toBeLessThanOrEqual(limit);
          // and what is reserved for a terminal it can use, cut off
          for (const bench of benches) {
            bench.apart = true;
            for (let n = 0; n < share; n += 1) bench.tap({}, { service: { id: 'taxi' } });
            const own = JSON.parse(JSON.stringify(bench.facts.get(key))).parts as {
              terminal: string;
              n: number;
            }[];
            expect(own.find(({ terminal }) => terminal === bench.terminal)?.n).toBeGreaterThanOrEqual(share);
          }
        },
      ),
      { numRuns: 150 },
    );
  });

  /** All tell each other everything. */
  function exchange(benches: readonly RuleBench[]): void {
    const known = benches.flatMap(({ facts }) => facts.get(key) ?? []);
    const [first, ...rest] = known;
    if (first === undefined) return;
    const joined = rest.reduce<JsonValue>((a, b) => joinFacts('uses/taxi', a, b) ?? a, first);
    for (const { facts } of benches) facts.set(key, joined);
  }

  it('is refused at configuration where the shares together exceed it', () => {
    expect(() => doorRules({ id: 'front' }, { services: services(5, 2), terminalGroups: groups })).toThrow(
      /shares of all terminals are 6 together, more than the limit of 5/,
    );
  });
});

describe('a grant under which nobody went through', () => {
  it('gives back what it counted and where the holder was, and nothing that others have done since', () => {
    const bench = new RuleBench({
      zones: [{ id: 'yard' }, { id: 'lab', occupancy: { limit: 5 }, reentry: { after: '1 h' } }],
      services: [{ id: 'taxi', kind: 'uses', limit: 5 }],
    });
    bench.tap({}, { to: 'yard' });
    const before = new Map(bench.facts);
    const granted = bench.tap({}, { from: 'yard', to: 'lab', service: { id: 'taxi' } });
    if (granted.kind !== 'granted') throw new Error(granted.kind);
    bench.tap({ holderId: 'h2' }, { from: 'yard', to: 'lab' });
    const named = (change: StateChange) => `${change.holderId ?? ''}|${change.key}`;
    const passages = granted.changes.map((change) => ({
      change,
      before: before.get(named(change)),
      now: bench.facts.get(named(change)),
    }));
    for (const change of takenBack(passages, 'not-passed', bench.state())) bench.set(change);
    expect(bench.facts.get('h1|at')).toEqual(before.get('h1|at'));
    expect(bench.facts.has('h1|passed/zone/lab')).toBe(false);
    expect(bench.facts.get('h1|uses/taxi')).toMatchObject({ parts: [{ n: 0 }] });
    expect(bench.facts.get('|count/lab')).toMatchObject({ parts: [{ n: 1 }] });
    expect(bench.facts.get('|count/yard')).toMatchObject({ parts: [{ n: 1 }] });
  });

  describe('of a door that did not open', () => {
    /** Takes the next tap back as `unused` and gives the facts from before it, and after. */
    const around = (bench: RuleBench, unused: Unused, ...[who, request]: Parameters<RuleBench['tap']>) => {
      const before = new Map(bench.facts);
      const granted = bench.tap(who, request);
      if (granted.kind !== 'granted') throw new Error(granted.kind);
      const named = (change: StateChange) => `${change.holderId ?? ''}|${change.key}`;
      const found = granted.changes.map((change) => ({
        change,
        before: before.get(named(change)),
        now: bench.facts.get(named(change)),
      }));
      expect(found.filter(({ change }) => !isRevocable(change))).toEqual([]);
      for (const change of takenBack(found, unused, bench.state())) bench.set(change);
      return { before, after: bench.facts };
    };
    const books = { services: [{ id: 'books', kind: 'loan' as const, limit: 2 }] };
    const work = { services: [{ id: 'work', kind: 'attendance' as const }] };
    const lend = { service: { id: 'books', action: 'lend' as const, item: 'a' } };
    const giveBack = { service: { id: 'books', action: 'return' as const, item: 'a' } };
    const visitor = { holderId: 'v', groups: ['visitor'] };
    const escort = { escort: { of: ['visitor'], by: ['staff'] } };
    const guests = {
      groups: ['staff', 'visitor'],
      permissions: ['staff', 'visitor'].map((group) => ({ group, door: 'front' })),
    };
    const cases: [string, RuleBench, Parameters<RuleBench['tap']>[], Parameters<RuleBench['tap']>][] = [
      ['an attendance', new RuleBench(work), [], [{}, { service: { id: 'work' } }]],
      ['a loan', new RuleBench(books), [], [{}, lend]],
      ['what is returned', new RuleBench(books), [[{}, lend]], [{}, giveBack]],
      ['two persons', new RuleBench({}, { twoPerson: {} }), [[{}]], [{ holderId: 'h2' }]],
      ['an escort', new RuleBench(guests, escort), [[visitor]], [{}]],
      ['a toggle', new RuleBench({}, { toggle: { groups: ['staff'] } }), [], [{}]],
      ['the end of a toggle', new RuleBench({}, { toggle: { groups: ['staff'] } }), [[{}]], [{}]],
    ];

    it.each(cases)('%s is as before', (_, bench, course, last) => {
      for (const tap of course) bench.tap(...tap);
      const { before, after } = around(bench, 'not-opened', ...last);
      expect([...after].toSorted()).toEqual([...before].toSorted());
    });

    it('only: an attendance stands where the door opened and nobody went through', () => {
      const { before, after } = around(new RuleBench(work), 'not-passed', {}, { service: { id: 'work' } });
      expect([before.size, after.size]).toEqual([0, 1]);
    });
  });

  it('leaves alone what a later tap or an operator has replaced, with the count that goes with it', () => {
    const change = { key: 'passed/zone/lab', holderId: 'h1', value: 'x', ifPassed: true } as const;
    const state = new RuleBench({}).state();
    expect(takenBack([{ change, before: 'w', now: 'y' }], 'not-passed', state)).toEqual([]);
    expect(takenBack([{ change, before: 'w', now: undefined }], 'not-passed', state)).toEqual([]);
    expect(takenBack([{ change, before: 'w', now: 'x' }], 'not-passed', state)).toEqual([
      { key: 'passed/zone/lab', holderId: 'h1', value: 'w' },
    ]);
    const { ifPassed: _, ...kept } = change;
    expect(takenBack([{ change: kept, before: 'w', now: 'x' }], 'not-passed', state)).toEqual([]);
  });

  it.each(['moved on', 'forgotten', 'reset'])('counts right when the holder was %s meanwhile', (what) => {
    const bench = new RuleBench({ zones: [{ id: 'yard' }, { id: 'lab' }] });
    const granted = bench.tap({}, { to: 'lab' });
    if (granted.kind !== 'granted') throw new Error(granted.kind);
    if (what === 'moved on') bench.tap({}, { from: 'lab', to: 'yard' });
    const changes =
      what === 'forgotten'
        ? forgetPosition('h1', bench.facts.get('h1|at'), bench.state())
        : what === 'reset'
          ? resetZone('lab', bench.state())
          : [];
    for (const change of changes) bench.set(change);
    const passages = granted.changes.map((change) => ({
      change,
      before: undefined,
      now: bench.facts.get(`${change.holderId ?? ''}|${change.key}`),
    }));
    for (const change of takenBack(passages, 'not-passed', bench.state())) bench.set(change);
    expect(total(peopleIn('lab', bench.state()))).toBe(0);
    expect(total(peopleIn('yard', bench.state()))).toBe(what === 'moved on' ? 1 : 0);
  });
});
