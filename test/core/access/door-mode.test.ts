import { describe, expect, it } from 'vitest';
import { blankState } from '#core/access/access-state.ts';
import { decide } from '#core/access/decide.ts';
import {
  bearsOnDoors,
  type DoorSituation,
  modePrecedence,
  nextLookMs,
  wantedMode,
} from '#core/access/door-mode.ts';
import type { JsonValue } from '#core/journal/record.ts';
import { doorRules, staffSlice, trustedTime } from '../../policy-slices.ts';
import { reading } from '../../terminal/terminal-fixture.ts';

type DoorInput = Parameters<typeof doorRules>[0];

const day = { days: ['mon', 'tue', 'wed', 'thu', 'fri'], from: '08:30', to: '19:00' };
const schedules = { schedules: [{ id: 'office', periods: [day] }], groups: ['staff', 'cleaning'] };
/** Monday 2026-11-16, local time of Tokyo */
const at = (hour: number, minute = 0): number => Date.UTC(2026, 10, 16, hour - 9, minute);
const minuteMs = 60_000;

function situation(
  door: Omit<DoorInput, 'id'>,
  facts: Record<string, JsonValue> = {},
  time = trustedTime(at(12)),
): DoorSituation {
  const { version } = staffSlice();
  return {
    doorId: 'front',
    policy: { version, rules: doorRules({ id: 'front', ...door }, schedules) },
    zones: ['outside', 'lobby'],
    state: { shared: (key) => facts[key] },
    time,
  };
}
const office: Omit<DoorInput, 'id'> = { unlock: [{ schedule: 'office' }] };
const holds: Omit<DoorInput, 'id'> = {
  toggle: { groups: ['staff'] },
  timedHold: { groups: ['staff'], for: '30 min' },
};
const toggle = { 'hold/front': { kind: 'toggle', sinceMs: at(12) } };
const untilOne = {
  'hold/front': { kind: 'timed-hold', bootId: 'boot-1', untilMs: minuteMs },
};

const byCommand = { 'command-hold/front': { bootId: 'boot-1', untilMonotonicMs: minuteMs } };

describe('the mode of a door', () => {
  it('follows the table, row by row', () => {
    const door: Omit<DoorInput, 'id'> = { ...office, ...holds, inEvacuation: 'unlock' };
    const rows: [Record<string, JsonValue>, object][] = [
      [{ 'site/fire': {} }, { kind: 'held', by: 'fire' }],
      [{ 'site/evacuation': {} }, { kind: 'held', by: 'evacuation' }],
      [{ 'site/lockdown': {} }, { kind: 'lockdown' }],
      [byCommand, { kind: 'held', by: 'command' }],
      [untilOne, { kind: 'held', by: 'timed-hold' }],
      [toggle, { kind: 'held', by: 'toggle' }],
      [{}, { kind: 'held', by: 'schedule' }],
    ];
    expect(modePrecedence).toEqual([
      'fire',
      'evacuation',
      'lockdown',
      'command',
      'timed-hold',
      'toggle',
      'schedule',
    ]);
    for (const [row, [, expected]] of rows.entries()) {
      // everything below the row stands as well; the hold by card is one fact, the upper row's
      const facts = Object.assign(
        {},
        ...rows
          .slice(row)
          .map(([fact]) => fact)
          .reverse(),
      );
      expect(wantedMode(situation(door, facts)), modePrecedence[row]).toEqual(expected);
    }
  });

  it('rests on facts that are watched, and on no other', () => {
    const door: Omit<DoorInput, 'id'> = {
      ...holds,
      toggle: { groups: ['staff'], schedule: 'office' },
      unlock: [{ schedule: 'office', afterFirstOf: ['staff', 'cleaning'] }],
      inEvacuation: 'unlock',
    };
    const asked = new Set<string>();
    const state = {
      shared: (key: string) => {
        asked.add(key);
        return undefined;
      },
    };
    const asks = { ...situation(door), state };
    wantedMode(asks);
    nextLookMs(asks);
    expect(asked.size).toBe(7);
    expect([...asked].filter((key) => !bearsOnDoors(key))).toEqual([]);
    expect(['count/lab', 'at', 'two-person/in', 'failures/in', 'loan/books/1'].some(bearsOnDoors)).toBe(
      false,
    );
  });

  it('is normal without a policy, but for lockdown', () => {
    const { policy: _, ...rest } = situation(office);
    expect(wantedMode({ ...rest, policy: undefined })).toEqual({ kind: 'normal' });
    const shared = (key: string) => (key === 'site/lockdown' ? {} : undefined);
    expect(wantedMode({ ...rest, policy: undefined, state: { shared } })).toEqual({ kind: 'lockdown' });
  });

  it('is not changed by fire and evacuation where the door’s rules do not say so', () => {
    const facts = { 'site/fire': {}, 'site/evacuation': {} };
    expect(wantedMode(situation({}, facts))).toEqual({ kind: 'normal' });
  });

  it('is held by no hours once the policy is so old that the door admits less', () => {
    const ageing = { announce: '1 h', reduced: '2 h', inReduced: { groups: ['staff'] } };
    const aged = (hours: number): DoorSituation => {
      const found = situation({ ...office, ageing });
      const { policy } = found;
      if (!policy) throw new Error('no policy');
      return {
        ...found,
        policy: { ...policy, version: { ...policy.version, freshAtMs: at(12) - hours * 60 * minuteMs } },
      };
    };
    expect(wantedMode(aged(1))).toEqual({ kind: 'held', by: 'schedule' });
    expect(wantedMode(aged(2))).toEqual({ kind: 'normal' });
  });

  it.each([
    [at(8, 29), 'normal'],
    [at(8, 30), 'held'],
    [at(18, 59), 'held'],
    [at(19), 'normal'],
    [at(12) + 5 * 86_400_000, 'normal'],
  ])('follows its hours to the minute: %d', (utcMs, kind) => {
    expect(wantedMode(situation(office, {}, trustedTime(utcMs))).kind).toBe(kind);
  });

  it('holds by the hours only while the clock is known to be right', () => {
    const untrusted = { ...trustedTime(at(12)), trusted: false };
    expect(wantedMode(situation(office, {}, untrusted))).toEqual({ kind: 'normal' });
  });

  it('after a restart keeps a toggle, and ends a timed hold', () => {
    const reboot = { ...trustedTime(at(12)), bootId: 'boot-2' };
    expect(wantedMode(situation(holds, toggle, reboot)).kind).toBe('held');
    expect(wantedMode(situation(holds, untilOne)).kind).toBe('held');
    expect(wantedMode(situation(holds, untilOne, reboot)).kind).toBe('normal');
  });

  it('is held by card no longer than the rules say so', () => {
    const { toggle: _, ...timed } = holds;
    const { timedHold: __, ...toggled } = holds;
    expect(wantedMode(situation(timed, toggle)).kind).toBe('normal');
    expect(wantedMode(situation(toggled, untilOne)).kind).toBe('normal');
    expect(wantedMode({ ...situation(holds, toggle), policy: undefined }).kind).toBe('normal');
    const old = situation(
      { ...holds, ageing: { announce: '1 h', reduced: '2 h', inReduced: { groups: ['staff'] } } },
      toggle,
    );
    if (!old.policy) throw new Error('no policy');
    const version = { ...old.policy.version, freshAtMs: at(9) };
    expect(wantedMode({ ...old, policy: { ...old.policy, version } }).kind).toBe('normal');
  });

  it.each([
    ['while its schedule lasts', at(18, 59), 'held'],
    ['not beyond it', at(19), 'normal'],
    ['nor in its next period', at(12) + 86_400_000, 'normal'],
  ])('is held by toggle %s', (_, utcMs, kind) => {
    const door: Omit<DoorInput, 'id'> = { toggle: { groups: ['staff'], schedule: 'office' } };
    expect(wantedMode(situation(door, toggle, trustedTime(utcMs))).kind).toBe(kind);
    const unscheduled = situation({ ...door, whileTimeUnknown: 'unscheduled' }, toggle, {
      ...trustedTime(utcMs),
      trusted: false,
    });
    expect(wantedMode(unscheduled).kind).toBe('held');
  });

  it('of a floor is held by the cards that free this floor', () => {
    const facts = { 'hold/front': { ...toggle['hold/front'], floors: ['f1'] } };
    const modes = ['f1', 'f9'].map((floor) => wantedMode({ ...situation(holds, facts), floor }).kind);
    expect(modes).toEqual(['held', 'normal']);
  });

  it('of a fact that cannot be read is none', () => {
    expect(() => wantedMode(situation(holds, { 'hold/front': 'x' }))).toThrow(/hold\/front/);
  });

  it.each([
    [['lobby'], 'lockdown'],
    [['cellar'], 'normal'],
  ])('follows a lockdown of zones where one of them is its own: %j', (zones, kind) => {
    expect(wantedMode(situation({}, { 'site/lockdown': { zones } })).kind).toBe(kind);
  });

  describe('that waits for the first person', () => {
    const door: Omit<DoorInput, 'id'> = { unlock: [{ schedule: 'office', afterFirstOf: ['staff'] }] };
    const came = (utcMs: number) => ({ 'first/front/staff': utcMs });
    it.each([
      ['nobody has come', {}, at(12), 'normal'],
      ['somebody came this morning', came(at(8, 31)), at(12), 'held'],
      ['somebody of another group came', { 'first/front/cleaning': at(8, 31) }, at(12), 'normal'],
      ['the hours are over', came(at(8, 31)), at(19), 'normal'],
      ['somebody came yesterday', came(at(18) - 86_400_000), at(12), 'normal'],
      ['somebody comes later (the clock was set back)', came(at(13)), at(12), 'normal'],
    ])('%s', (_, facts, utcMs, kind) => {
      expect(wantedMode(situation(door, facts, trustedTime(utcMs))).kind).toBe(kind);
    });
  });
});

describe('the next look', () => {
  it('is at the full minute, or when a timed hold ends before that', () => {
    expect(nextLookMs(situation({}, {}, trustedTime(at(12) + 20_000)))).toBe(40_000);
    const ends = (bootId: string) => ({ 'hold/front': { kind: 'timed-hold', bootId, untilMs: 5_000 } });
    const now = { ...trustedTime(at(12) + 20_000), monotonicMs: 1_000 };
    expect(nextLookMs(situation({}, ends('boot-1'), now))).toBe(4_000);
    expect(nextLookMs(situation({}, ends('boot-0'), now))).toBe(40_000);
    expect(nextLookMs(situation({}, ends('boot-1'), { ...now, monotonicMs: 5_000 }))).toBe(40_000);
  });
});

describe('a card', () => {
  const tap = (
    door: Omit<DoorInput, 'id'>,
    facts: Record<string, JsonValue> = {},
    time = trustedTime(at(12)),
    request: object = {},
    rest: object = {},
  ) =>
    decide({
      reading,
      request: { doorId: 'front', readerId: 'r', tapId: 'a', ...request },
      slice: staffSlice({ rules: doorRules({ id: 'front', ...door }, { ...site, ...rest }) }),
      state: { ...blankState, shared: (key) => facts[key] },
      time,
    });
  const changesOf = (decision: ReturnType<typeof tap>) =>
    decision.kind === 'granted' ? decision.changes : decision.kind;
  const site = {
    ...schedules,
    zones: [{ id: 'lab', passback: { mode: 'hard' as const } }],
    services: [{ id: 'work', kind: 'attendance' as const }],
  };
  const first: Omit<DoorInput, 'id'> = { unlock: [{ schedule: 'office', afterFirstOf: ['staff'] }] };
  const key = 'hold/front';

  it('of a toggle group holds the door unlocked, and the next ends that without unlocking', () => {
    const door = { toggle: { groups: ['staff'] } };
    expect(changesOf(tap(door))).toEqual([
      { key, value: { kind: 'toggle', sinceMs: at(12) }, ifObeyed: true },
    ]);
    const ending = tap(door, toggle);
    expect(changesOf(ending)).toEqual([{ key, ifObeyed: true }]);
    expect(ending).toMatchObject({ obligations: { locks: true } });
  });

  it('that ends a hold moves nobody, serves nothing, and begins no hours', () => {
    const ending = tap({ ...holds, ...first, reentry: { after: '1 h' } }, toggle, undefined, {
      to: 'lab',
      service: { id: 'work' },
    });
    expect(changesOf(ending)).toEqual([{ key, ifObeyed: true }]);
    expect(ending).toMatchObject({ obligations: { locks: true } });
    expect(ending.kind === 'granted' && ending.obligations.service).toBe(undefined);
  });

  it('that ends a hold needs no second person and no escort; that begins one does', () => {
    for (const others of [{ twoPerson: {} }, { escort: { of: ['staff'], by: ['cleaning'] } }]) {
      const door = { toggle: { groups: ['staff'] }, ...others };
      expect(changesOf(tap(door, toggle))).toEqual([{ key, ifObeyed: true }]);
      expect(changesOf(tap(door))).toBe('waits');
    }
  });

  it('ends a timed hold also outside the schedule of the toggle, and begins none there', () => {
    const door = { ...holds, toggle: { groups: ['staff'], schedule: 'office' } };
    const evening = trustedTime(at(20));
    expect(changesOf(tap(door, untilOne, evening))).toEqual([{ key, ifObeyed: true }]);
    expect(changesOf(tap(door, toggle, evening))).toMatchObject([{ key, value: { kind: 'timed-hold' } }]);
    const tomorrow = trustedTime(at(12) + 86_400_000);
    expect(changesOf(tap(door, toggle, tomorrow))).toMatchObject([{ value: { sinceMs: tomorrow.utcMs } }]);
  });

  it('holds the floors that it frees, and no others', () => {
    const floors = (permissions: object[]) => {
      const found = changesOf(tap({ toggle: { groups: ['staff'] } }, {}, undefined, {}, { permissions }));
      return typeof found === 'string'
        ? found
        : found.map(({ value }) => (value as { floors?: string[] }).floors);
    };
    const one = { group: 'staff', door: 'front', floors: ['f1'] };
    expect(floors([one, { ...one, floors: ['f2'] }])).toEqual([['f1', 'f2']]);
    expect(floors([one, { group: 'staff', door: 'front' }])).toEqual([undefined]);
  });

  it('of another group does not, nor one outside the hours of the toggle', () => {
    expect(changesOf(tap({ toggle: { groups: ['cleaning'] } }))).toEqual([]);
    const evening = trustedTime(at(20));
    expect(changesOf(tap({ toggle: { groups: ['staff'], schedule: 'office' } }, {}, evening))).toEqual([]);
  });

  it('that is denied changes nothing', () => {
    const denied = tap({ toggle: { groups: ['staff'] }, assurance: ['encryption'] });
    expect(denied).toMatchObject({ kind: 'denied', changes: [] });
  });

  it('holds the door for a time from now on, counted in time that never steps', () => {
    const door = { ...holds, toggle: { groups: ['cleaning'] } };
    const time = { ...trustedTime(at(12)), monotonicMs: 1_000 };
    const value = { kind: 'timed-hold', bootId: 'boot-1', untilMs: 1_000 + 30 * minuteMs };
    expect(changesOf(tap(door, {}, time))).toEqual([{ key, value, ifObeyed: true }]);
    expect(changesOf(tap(door, untilOne, time))).toEqual([{ key, value, ifObeyed: true }]);
    expect(changesOf(tap(door, toggle, time))).toEqual([]);
  });

  it('during lockdown holds nothing', () => {
    const facts = { 'site/lockdown': {} };
    const decision = tap({ toggle: { groups: ['staff'] } }, facts);
    expect(decision.kind === 'granted' ? decision.changes : []).toEqual([]);
  });

  it('begins no hours while the clock may be wrong', () => {
    const door: Omit<DoorInput, 'id'> = { unlock: [{ schedule: 'office', afterFirstOf: ['staff'] }] };
    expect(changesOf(tap(door, {}, { ...trustedTime(at(12)), trusted: false }))).toEqual([]);
  });

  it('begins no hours for who leaves all zones', () => {
    const going = (from: string, to: string) => changesOf(tap(first, {}, undefined, { from, to }));
    expect(going('lab', 'street')).not.toContainEqual(expect.objectContaining({ key: 'first/front/staff' }));
    expect(going('street', 'lab')).toContainEqual(expect.objectContaining({ key: 'first/front/staff' }));
  });

  it('of the first person begins the hours, if that person goes in, whatever else it holds', () => {
    const came = { key: 'first/front/staff', value: at(12), ifPassed: true };
    expect(changesOf(tap(first))).toEqual([came]);
    expect(changesOf(tap(first, {}, trustedTime(at(7))))).toEqual([]);
    expect(changesOf(tap({ ...first, ...holds }))).toEqual([
      { key, value: { kind: 'toggle', sinceMs: at(12) }, ifObeyed: true },
      came,
    ]);
  });
});
