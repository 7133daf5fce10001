import { describe, expect, it } from 'vitest';
import type { DoorMode } from '#core/access/door-state.ts';
import { modeWithin, refusalOf, secured } from '#core/access/interlock.ts';
import { DoorBench } from './door-bench.ts';

const fault = { code: 'door-hardware-failed', message: 'test' } as const;
const grant = { kind: 'grant', openMs: 5_000, tapId: 'a' } as const;

function door(settings: ConstructorParameters<typeof DoorBench>[0] = {}): DoorBench {
  const bench = new DoorBench(settings);
  bench.feed({ kind: 'contact', open: false });
  return bench;
}
const calm = { others: [], emergency: false };

describe('a door is secured', () => {
  it('when it is known to be locked and closed', () => {
    expect(secured(door())).toBe(true);
    expect(secured(new DoorBench({ contact: 'none' }))).toBe(true);
  });

  it.each<[string, (bench: DoorBench) => void]>([
    ['unlocked', (bench) => bench.feed(grant)],
    ['open', (bench) => bench.feed({ kind: 'contact', open: true })],
    [
      'held unlocked, and locked by its hardware until the next try',
      (bench) => {
        bench.feed({ kind: 'mode', mode: { kind: 'held', by: 'schedule' } });
        bench.feed({ kind: 'strike', locked: true });
        bench.feed({ kind: 'timer', timer: 'grace' });
        expect(bench.locked()).toBe(true);
      },
    ],
    ['faulty', (bench) => bench.feed({ kind: 'fault', fault })],
    ['not locking', (bench) => bench.feed({ kind: 'actuation-failed', command: 'lock', fault })],
    [
      'just relocked, the leaf perhaps in a hand',
      (bench) => {
        bench.feed(grant);
        bench.advance(5_000);
      },
    ],
    [
      'told to lock and silent',
      (bench) => {
        bench.feed(grant);
        bench.answering = false;
        bench.advance(5_600);
      },
    ],
  ])('not while it is %s', (_, spoil) => {
    const bench = door();
    spoil(bench);
    expect(secured(bench)).toBe(false);
  });

  it('not before its contact has been heard', () => {
    expect(secured(new DoorBench())).toBe(false);
  });
});

describe('a granted tap', () => {
  const busy = (): DoorBench => {
    const bench = door();
    bench.feed(grant);
    return bench;
  };
  const inMode = (mode: DoorMode): DoorBench => {
    const bench = door();
    bench.feed({ kind: 'mode', mode });
    return bench;
  };

  it.each([
    ['nothing in its way', door(), calm, false, undefined],
    ['another door unlocked', door(), { others: [busy()], emergency: false }, false, 'interlock-busy'],
    ['others secured', door(), { others: [door(), door()], emergency: false }, false, undefined],
    ['fire, another door unlocked', door(), { others: [busy()], emergency: true }, false, undefined],
    ['lockdown since', inMode({ kind: 'lockdown' }), calm, false, 'lockdown'],
    ['lockdown, which exempts the holder', inMode({ kind: 'lockdown' }), calm, true, undefined],
    [
      'lockdown, which exempts the holder, another door unlocked',
      inMode({ kind: 'lockdown' }),
      { others: [busy()], emergency: false },
      true,
      'interlock-busy',
    ],
    [
      'held unlocked itself',
      inMode({ kind: 'held', by: 'toggle' }),
      { others: [busy()], emergency: false },
      false,
      undefined,
    ],
  ] as const)('%s', (_, bench, surroundings, exempt, expected) => {
    expect(refusalOf(bench.state, surroundings, exempt)).toBe(expected);
  });

  it('one alone stays held when an emergency that held several is over', () => {
    const held: DoorMode = { kind: 'held', by: 'schedule' };
    const [first, last] = [inMode({ kind: 'held', by: 'fire' }), inMode({ kind: 'held', by: 'fire' })];
    first.feed({ kind: 'mode', mode: modeWithin(first, held, { others: [last], emergency: false }) });
    last.feed({ kind: 'mode', mode: modeWithin(last, held, { others: [first], emergency: false }) });
    expect([first.locked(), last.locked()]).toEqual([true, false]);
  });

  it('a hold waits for the other doors, but for fire, and stays once it is there', () => {
    const held: DoorMode = { kind: 'held', by: 'schedule' };
    expect(modeWithin(door(), held, { others: [busy()], emergency: false })).toEqual({ kind: 'normal' });
    expect(modeWithin(door(), held, { others: [door()], emergency: false })).toEqual(held);
    expect(modeWithin(door(), held, { others: [busy()], emergency: true })).toEqual(held);
    expect(modeWithin(inMode(held), held, { others: [busy()], emergency: false })).toEqual(held);
    expect(modeWithin(door(), { kind: 'lockdown' }, { others: [busy()], emergency: false })).toEqual({
      kind: 'lockdown',
    });
  });
});
