import { describe, expect, test } from 'vitest';
import { AccessMemory, type FactsView } from '#core/access/access-memory.ts';
import type { StateChange } from '#core/access/access-state.ts';
import type { Unused } from '#core/access/fact-kinds.ts';
import type { KeptFacts } from '#core/access/kept-facts.ts';
import { declareCondition } from '#core/access/site-state.ts';
import type { JsonValue } from '#core/journal/record.ts';

const nothing = new Map<string, JsonValue>();
const inside = (value?: string, more: Partial<StateChange> = {}): StateChange => ({
  key: 'inside',
  holderId: 'h1',
  ...(value === undefined ? {} : { value }),
  ...more,
});

/** A memory and a disk: what is recorded is there, as a look-up made then finds it. */
class Rig {
  readonly memory = new AccessMemory({ terminal: 'gate', sharedChanged: () => undefined });
  readonly disk = new Map<string, JsonValue>();
  #taps = 0;

  found(asked = this.memory.asked(), facts: ReadonlyMap<string, JsonValue> = new Map(this.disk)) {
    return { holderId: 'h1', facts, asked };
  }

  view(found = this.found()): FactsView {
    const view = this.memory.view(found);
    if (!view) throw new Error('the look-up is too old');
    return view;
  }

  notPassed(tapId: string, unused: Unused = 'not-passed'): KeptFacts {
    const kept = this.memory.notPassed(tapId, unused);
    if (kept instanceof Promise) throw new Error('something is not settled');
    return kept;
  }

  tap(changes: readonly StateChange[], tapId = String(++this.#taps), found = this.found()) {
    const kept = this.memory.keep(tapId, changes, found);
    return {
      tapId,
      durable: () => {
        for (const { key, value } of changes) {
          if (value === undefined) this.disk.delete(key);
          else this.disk.set(key, value);
        }
        kept.durable();
      },
      takeBack: () => kept.takeBack(),
    };
  }
}

describe('a fact on its way to the disk', () => {
  test('holds up whoever reads or changes it, and nobody else', async () => {
    const rig = new Rig();
    const tap = rig.tap([inside('lab')]);

    const reader = rig.view();
    expect(reader.unsettled([])).toBeUndefined();
    reader.holder('inside');
    const waiting = reader.unsettled([]);
    expect(waiting).toBeInstanceOf(Promise);
    expect(rig.view().unsettled([inside('hall')])).toBeInstanceOf(Promise);
    expect(rig.view().unsettled([{ key: 'inside', holderId: 'h2' }])).toBeUndefined();
    expect(rig.view().unsettled([{ key: 'inside' }])).toBeUndefined();

    tap.durable();
    await waiting;
    expect(reader.holder('inside')).toBe('lab');
    expect(reader.unsettled([])).toBeUndefined();
  });

  test('is as if it had never been when the disk does not take it', async () => {
    const rig = new Rig();
    rig.tap([inside('lab')]).durable();
    const tap = rig.tap([inside('hall'), { key: 'count', value: 2 }]);
    const reader = rig.view();
    reader.holder('inside');
    const waiting = reader.unsettled([]);
    tap.takeBack();
    await waiting;
    expect(reader.holder('inside')).toBe('lab');
    expect(reader.shared('count')).toBeUndefined();
    expect(reader.unsettled([])).toBeUndefined();
  });
});

describe('a durable fact', () => {
  test('is seen by a look-up that had begun before it was stored', () => {
    const rig = new Rig();
    const before = rig.found(rig.memory.asked(), nothing);
    rig.tap([inside('lab')]).durable();
    expect(rig.view(before).holder('inside')).toBe('lab');
    rig.tap([inside()]).durable();
    expect(rig.view(before).holder('inside')).toBeUndefined();
  });

  test('about the terminal as a whole is known from the start', () => {
    const rig = new Rig();
    rig.memory.load(new Map([['lockdown', true]]));
    expect(rig.view().shared('lockdown')).toBe(true);
    rig.tap([{ key: 'lockdown' }]).durable();
    expect(rig.view().shared('lockdown')).toBeUndefined();
  });

  test('declared before it was loaded joins what the disk has, and its entry tells both', () => {
    const rig = new Rig();
    const declared = rig.memory.declare((state) => [declareCondition('lockdown', state, ['lab'])]);
    expect(rig.memory.shared('site/lockdown')).toEqual({ zones: ['lab'] });
    rig.memory.load(new Map([['site/lockdown', { zones: ['hall'] }]]));
    const both = { key: 'site/lockdown', value: { zones: ['hall', 'lab'] } };
    expect(rig.memory.shared('site/lockdown')).toEqual(both.value);
    expect(declared.changes).toEqual([both]);
    declared.durable();
    rig.memory.load(new Map([['site/lockdown', { zones: ['hall'] }]]));
    expect(rig.memory.shared('site/lockdown')).toEqual({ zones: ['hall'] });
  });

  test('is asked for anew where so many came since that this memory no longer has it', () => {
    const rig = new Rig();
    const before = rig.found(rig.memory.asked(), nothing);
    rig.tap([inside('lab')]).durable();
    const after = rig.found();
    for (let index = 0; index < 999; index += 1)
      rig.tap([{ key: 'inside', holderId: `other-${index}`, value: 'lab' }]).durable();
    expect(rig.memory.view(before)?.holder('inside')).toBe('lab');
    rig.tap([{ key: 'inside', holderId: 'another', value: 'lab' }]).durable();
    expect(rig.memory.view(before)).toBeUndefined();
    expect(rig.view(after).holder('inside')).toBe('lab');
  });

  test('is no other holder’s, and nobody’s where the policy knows no holder', () => {
    const rig = new Rig();
    rig.tap([inside('lab')]).durable();
    const asked = rig.memory.asked();
    expect(rig.memory.view({ holderId: 'h2', facts: nothing, asked })?.holder('inside')).toBeUndefined();
    expect(rig.memory.view({ holderId: undefined, facts: nothing, asked })?.holder('inside')).toBeUndefined();
  });
});

test('doors look again at what they go by, not at every count', () => {
  let looked = 0;
  const memory = new AccessMemory({ terminal: 'gate', sharedChanged: () => (looked += 1) });
  memory.load(new Map());
  const keep = (key: string) =>
    memory.keep(key, [{ key, value: 1 }], { holderId: undefined, facts: nothing, asked: 0 }).durable();
  keep('count/lab');
  keep('two-person/in');
  expect(looked).toBe(1);
  keep('hold/front');
  memory.declare((state) => [declareCondition('fire', state)]);
  expect(looked).toBe(3);
});

test('a tap that waits is remembered with its holder’s newest facts, and the oldest is forgotten', () => {
  const rig = new Rig();
  const first = rig.tap([inside('hall')], 'first');
  rig.memory.waits('first', rig.found());
  first.durable();
  expect(rig.view().companion('first')).toMatchObject({ holderId: 'h1' });
  expect(rig.view().companion('first')?.fact('inside')).toBe('hall');
  expect(rig.view().companion('second')).toBeUndefined();
  for (let index = 0; index < 100; index += 1) rig.memory.waits(String(index), rig.found());
  expect(rig.view().companion('first')).toBeUndefined();
});

describe('when nobody went through the door', () => {
  test('what holds only of who did is as before, and the rest stays', () => {
    const rig = new Rig();
    rig.tap([inside('hall', { ifPassed: true })]).durable();
    const tap = rig.tap([
      inside('lab', { ifPassed: true }),
      { key: 'count', value: 1, ifPassed: true },
      { key: 'failures', holderId: 'h1', value: 0 },
    ]);
    tap.durable();
    const back = rig.notPassed(tap.tapId);
    expect(back.changes).toEqual([inside('hall'), { key: 'count' }]);
    back.durable();
    expect(rig.view().holder('inside')).toBe('hall');
    expect(rig.view().shared('count')).toBeUndefined();
    expect(rig.view().holder('failures')).toBe(0);
    expect(rig.notPassed(tap.tapId).changes).toEqual([]);
  });

  test('what another tap has changed since stays', () => {
    const rig = new Rig();
    const first = rig.tap([inside('lab', { ifPassed: true })]);
    first.durable();
    rig.tap([inside('hall')]).durable();
    expect(rig.notPassed(first.tapId).changes).toEqual([]);
    expect(rig.view().holder('inside')).toBe('hall');
  });

  test('waits until what others change is on the disk, or taken back', async () => {
    const rig = new Rig();
    const uses = (n: number): StateChange => ({
      key: 'uses/taxi',
      holderId: 'h1',
      value: { period: '', parts: [{ terminal: 'gate', n, v: n }] },
      ifPassed: true,
    });
    const first = rig.tap([uses(1)]);
    first.durable();
    const second = rig.tap([uses(2)]);
    const waiting = rig.memory.notPassed(first.tapId, 'not-passed');
    expect(waiting).toBeInstanceOf(Promise);
    second.durable();
    await waiting;
    const back = rig.notPassed(first.tapId);
    expect(back.changes).toMatchObject([{ value: { parts: [{ terminal: 'gate', n: 1 }] } }]);
    back.durable();
    expect(rig.notPassed(second.tapId).changes).toMatchObject([{ value: { parts: [{ n: 0 }] } }]);
  });

  test('who has not moved since is where they were, and the zone holds one fewer', () => {
    const rig = new Rig();
    const since = { terminal: 'gate', utcMs: 0, trusted: true, monotonicMs: 0, bootId: 'boot' };
    const count = (n: number, v: number): StateChange => ({
      key: 'count/lab',
      value: { epoch: 0, parts: [{ terminal: 'gate', n, v }] },
    });
    rig.tap([count(4, 4)]).durable();
    const at: StateChange = {
      key: 'at',
      holderId: 'h1',
      value: { zone: 'lab', epoch: 0, since },
      ifPassed: true,
    };
    const tap = rig.tap([at, count(5, 5)]);
    tap.durable();
    const other = rig.tap([count(6, 6)]);
    expect(rig.memory.notPassed(tap.tapId, 'not-passed')).toBeInstanceOf(Promise);
    other.durable();
    expect(rig.notPassed(tap.tapId).changes).toEqual([{ key: 'at', holderId: 'h1' }, count(5, 7)]);
  });
});

describe('two grants that nobody used', () => {
  const at = (n: number): StateChange => inside(`lab at ${n}`, { ifPassed: true });

  test.each([['first', 'second'] as const, ['second', 'first'] as const])(
    'leave everything as before both, %s taken back before the other',
    (...order) => {
      const rig = new Rig();
      rig.tap([inside('hall')]).durable();
      rig.tap([at(1)], 'first').durable();
      rig.tap([at(2)], 'second').durable();
      for (const tapId of order) rig.notPassed(tapId).durable();
      expect(rig.view().holder('inside')).toBe('hall');
    },
  );
});

describe('when the door did not obey', () => {
  const hold = (value?: string): StateChange => ({
    key: 'hold/front',
    ...(value !== undefined && { value }),
    ifObeyed: true,
  });

  test('what the tap began is in force no more, before the disk says so', () => {
    const rig = new Rig();
    rig.tap([hold('toggle')]).durable();
    const tap = rig.tap([hold('anew'), { key: 'count', value: 2, ifPassed: true }]);
    tap.durable();
    rig.tap([{ key: 'count', value: 3 }]);
    expect(rig.memory.notPassed(tap.tapId, 'not-opened')).toBeInstanceOf(Promise);
    expect(rig.memory.shared('hold/front')).toBe('toggle');
    expect(rig.view().shared('hold/front')).toBe('anew');
  });

  test('what nobody used before that is taken back as well', () => {
    const rig = new Rig();
    const tap = rig.tap([hold('toggle'), inside('lab', { ifPassed: true })]);
    tap.durable();
    rig.notPassed(tap.tapId).durable();
    expect(rig.memory.shared('hold/front')).toBe('toggle');
    rig.notPassed(tap.tapId, 'not-opened').durable();
    expect(rig.memory.shared('hold/front')).toBeUndefined();
    expect(rig.view().shared('hold/front')).toBeUndefined();
  });

  test('what it ended stays ended until the disk says otherwise', () => {
    const rig = new Rig();
    rig.tap([hold('toggle')]).durable();
    const tap = rig.tap([hold()]);
    tap.durable();
    const back = rig.notPassed(tap.tapId, 'not-opened');
    expect(rig.memory.shared('hold/front')).toBeUndefined();
    back.durable();
    expect(rig.memory.shared('hold/front')).toBe('toggle');
  });
});

describe('what is declared', () => {
  const lockdown = { key: 'site/lockdown', value: {} };

  test('while its end is on the way to the disk holds after that end', () => {
    const rig = new Rig();
    rig.memory.declare(() => [lockdown]).durable();
    const ending = rig.tap([{ key: 'site/lockdown' }, { key: 'other', value: 1 }]);
    const again = rig.memory.declare((state) => [declareCondition('lockdown', state)]);
    expect(rig.memory.shared('site/lockdown')).toEqual({});
    ending.durable();
    expect(rig.memory.shared('site/lockdown')).toEqual({});
    expect(rig.view().shared('other')).toBe(1);
    again.durable();
    expect(rig.memory.shared('site/lockdown')).toEqual({});
  });

  test('is ended on the disk only once it is there; whoever but reads it waits for nothing', async () => {
    const rig = new Rig();
    const declared = rig.memory.declare(() => [lockdown]);
    const view = rig.view();
    expect(view.shared('site/lockdown')).toEqual({});
    expect(view.unsettled([])).toBeUndefined();
    const waiting = view.unsettled([{ key: 'site/lockdown' }]);
    expect(waiting).toBeInstanceOf(Promise);
    declared.durable();
    await waiting;
    expect(view.unsettled([{ key: 'site/lockdown' }])).toBeUndefined();
  });
});

describe('what stands though the disk never took its entry', () => {
  test('is told as it is now, once', () => {
    const rig = new Rig();
    const declare = (zones: string[]) =>
      rig.memory.declare((state) => [declareCondition('lockdown', state, zones)]);
    declare(['lab']).takeBack();
    const kept = declare(['hall']);
    expect(rig.memory.unrecorded().changes).toEqual([
      { key: 'site/lockdown', value: { zones: ['hall', 'lab'] } },
    ]);
    kept.durable();
    rig.memory.unrecorded().durable();
    expect(rig.memory.unrecorded().changes).toEqual([]);
  });

  test('is, of a hold that no door obeyed, that there is none', () => {
    const rig = new Rig();
    const tap = rig.tap([{ key: 'hold/front', value: 'toggle', ifObeyed: true }]);
    tap.durable();
    rig.notPassed(tap.tapId, 'not-opened').takeBack();
    expect(rig.memory.shared('hold/front')).toBeUndefined();
    const lost = rig.memory.unrecorded();
    expect(lost.changes).toEqual([{ key: 'hold/front' }]);
    lost.durable();
    expect(rig.view().shared('hold/front')).toBeUndefined();
  });
});

describe('taking back a tap', () => {
  test('rests on what this tap found, not on what its holder had when waiting for somebody earlier', () => {
    const rig = new Rig();
    rig.memory.waits('first', { holderId: 'h1', facts: new Map([['inside', 'street']]), asked: 0 });
    rig.disk.set('inside', 'lab');
    rig.tap([inside('hall', { ifPassed: true })], 'second').durable();
    expect(rig.notPassed('second').changes).toEqual([inside('lab')]);
  });
});
