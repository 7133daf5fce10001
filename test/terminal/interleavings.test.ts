import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Fault } from '#core/fault.ts';
import type { PinEntry } from '#ports/pin-pad.ts';
import { doorRules } from '../policy-slices.ts';
import { Bench, type HeldCard, reading } from './terminal-fixture.ts';

type Step =
  | { readonly do: 'tap'; readonly reader: 1 | 2; readonly holder: 'free' | 'pin' | 'nobody' | 'torn' }
  | { readonly do: 'remove'; readonly reader: 1 | 2 }
  | { readonly do: 'pin'; readonly keys: 'right' | 'part' | 'cancel' | 'unplug' | 'plug' }
  | {
      readonly do: 'wire';
      readonly door: 1 | 2;
      readonly wire: 'exit' | 'leaf' | 'cut' | 'slow' | 'stuck';
      readonly on: boolean;
    }
  | { readonly do: 'disk'; readonly state: 'works' | 'full' | 'hangs' }
  | { readonly do: 'policy'; readonly state: 'works' | 'fails' | 'suspends' }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'clock'; readonly byMs: number }
  | { readonly do: 'turn' };

const either = fc.constantFrom(1 as const, 2 as const);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('tap' as const),
      reader: either,
      holder: fc.constantFrom('free' as const, 'pin', 'pin', 'nobody', 'torn'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('remove' as const), reader: either }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('pin' as const),
      keys: fc.constantFrom('right' as const, 'right', 'right', 'part', 'cancel', 'unplug', 'plug', 'plug'),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('wire' as const),
      door: either,
      wire: fc.constantFrom('exit' as const, 'leaf', 'cut', 'slow', 'stuck'),
      on: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('disk' as const),
      state: fc.constantFrom('works' as const, 'works', 'full', 'hangs'),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('policy' as const),
      state: fc.constantFrom('works' as const, 'works', 'fails', 'suspends'),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('wait' as const),
      ms: fc.constantFrom(0, 1, 200, 999, 1_000, 4_999, 5_000, 5_001, 20_000),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('clock' as const),
      byMs: fc.constantFrom(-86_400_000, 86_400_000),
    }),
  },
  { weight: 4, arbitrary: fc.constant({ do: 'turn' as const }) },
);

const lives = fc.array(step, { minLength: 4, maxLength: 60, size: 'max' });

/** A terminal, and everything that must hold of it whatever happened in whatever order. */
class Life {
  readonly bench = new Bench();
  readonly cards: HeldCard[] = [];
  readonly pins: Uint8Array[] = [];
  #releaseDisk = (): void => undefined;

  async begin(): Promise<void> {
    const { bench } = this;
    this.#permitAll('active');
    this.#watchPins();
    await bench.terminal.start();
    await bench.settle();
    bench.strikes.length = 0;
  }

  async live(step: Step): Promise<void> {
    const { bench } = this;
    switch (step.do) {
      case 'tap':
        return this.#tap(step.reader, step.holder);
      case 'remove':
        return bench.readers.events?.cardRemoved(`reader-${step.reader}`);
      case 'pin':
        return this.#press(step.keys);
      case 'wire':
        return this.#wire(step);
      case 'disk':
        return this.#disk(step.state);
      case 'policy':
        bench.policy.fault = step.state === 'fails' ? new Fault('database-invalid', 'torn') : undefined;
        return this.#permitAll(step.state === 'suspends' ? 'suspended' : 'active');
      case 'wait':
        return bench.clock.advanceAsync(step.ms);
      case 'clock':
        return bench.clock.stepUtc(step.byMs);
      case 'turn':
        return bench.settle();
      default:
        return step satisfies never;
    }
  }

  /** The disk works again, the doors are repaired, everybody leaves, and the terminal is stopped. */
  async end(diskLate: boolean): Promise<void> {
    const { bench } = this;
    for (const door of bench.doors.values()) door.misbehave({});
    // a disk that is full at the very end has lost what it never took: it may hang, though, and go on afterwards
    if (!diskLate || bench.journal.fault) this.#disk('works');
    let stopped = false;
    const stop = bench.terminal.stop().then(() => {
      stopped = true;
    });
    await bench.settle();
    this.#disk('works');
    for (let turn = 0; turn < 100 && !stopped; turn += 1) await bench.clock.advanceAsync(100);
    expect(stopped).toBe(true);
    await stop;
    await bench.settle();
  }

  /** Never unlocked but by a durable grant of the same tap, or by an exit request. */
  checkUnlocks(): void {
    const { journal, strikes } = this.bench;
    for (const { door, locked, cause, durable } of strikes) {
      if (locked || cause === undefined) continue;
      const granted = journal.records
        .slice(0, durable)
        .some(
          ({ kind, tapId, body }) =>
            kind === 'decision' && tapId === cause && body.result === 'granted' && body.door === door,
        );
      expect(granted, `unlocked by tap ${cause}`).toBe(true);
    }
    const exits = (id: string) => this.exitPresses.filter((door) => door === id).length;
    for (const id of ['door-1', 'door-2']) {
      const uncaused = strikes.filter(
        ({ door, locked, cause }) => door === id && !locked && cause === undefined,
      );
      if (exits(id) === 0) expect(uncaused).toEqual([]);
    }
  }

  checkEnd(): void {
    const { bench, cards, pins } = this;
    expect([bench.locked('door-1'), bench.locked('door-2')]).toEqual([true, true]);
    expect(cards.map(({ ended }) => ended)).toEqual(cards.map(() => 1));
    const decided = bench.journal.records.flatMap(({ kind, tapId }) => (kind === 'decision' ? [tapId] : []));
    expect(decided.toSorted()).toEqual(cards.map(({ tapId }) => tapId).toSorted());
    expect(pins.every((digits) => digits.every((digit) => digit === 0))).toBe(true);
    expect(bench.clock.pendingTimers()).toBe(0);
    expect(bench.journal.records.at(-1)?.body.event).toBe('stopped');
  }

  readonly exitPresses: string[] = [];

  #tap(reader: 1 | 2, holder: 'free' | 'pin' | 'nobody' | 'torn'): void {
    const outcome =
      holder === 'torn'
        ? ({ kind: 'removed' } as const)
        : ({ kind: 'reading', reading: { ...reading, userNumber: holder } } as const);
    this.cards.push(this.bench.present(outcome, `reader-${reader}`));
  }

  #press(keys: 'right' | 'part' | 'cancel' | 'unplug' | 'plug'): void {
    const { pinPad } = this.bench;
    if (keys === 'cancel') pinPad.cancel();
    else if (keys === 'unplug' || keys === 'plug') pinPad.plug(keys === 'plug');
    else for (const digit of keys === 'right' ? [1, 2, 3, 4] : [1, 2]) pinPad.press(digit);
    if (keys === 'right') pinPad.enter();
  }

  #wire({ door, wire, on }: Extract<Step, { do: 'wire' }>): void {
    const id = `door-${door}`;
    const hardware = this.bench.doors.get(id);
    if (wire === 'cut') hardware?.misbehave({ lineGone: on });
    else if (wire === 'stuck') hardware?.misbehave(on ? { stuck: 'locked' } : {});
    else if (wire === 'slow') hardware?.misbehave(on ? { slowMs: 300 } : {});
    else if (wire === 'leaf') on ? hardware?.push() : hardware?.close();
    else {
      if (on) this.exitPresses.push(id);
      hardware?.pressExit(on);
    }
  }

  #disk(state: 'works' | 'full' | 'hangs'): void {
    const { journal } = this.bench;
    this.#releaseDisk();
    journal.gate = undefined;
    journal.fault = state === 'full' ? new Fault('journal-full', 'no space') : undefined;
    if (state === 'hangs') {
      journal.gate = new Promise((resolve) => {
        this.#releaseDisk = resolve;
      });
    }
  }

  #permitAll(status: 'active' | 'suspended'): void {
    const holder = { holderId: 'h', status, groups: ['staff'] };
    this.bench.permit('free', { holder });
    const rules = doorRules({ id: 'door-1', assurance: ['mutual-authentication', 'pin'] });
    this.bench.permit('pin', { holder, rules });
  }

  /** Every PIN that leaves the pad is kept, so that its zeroing can be looked at. */
  #watchPins(): void {
    const { pinPad } = this.bench;
    const request = pinPad.request.bind(pinPad);
    pinPad.request = async (...asked): Promise<PinEntry> => {
      const entry = await request(...asked);
      if (entry.kind === 'entered') this.pins.push(entry.digits);
      return entry;
    };
  }
}

it('keeps its promises in every order of events', { timeout: 60_000 }, async () => {
  let opened = 0;
  let verified = 0;
  await fc.assert(
    fc.asyncProperty(lives, fc.boolean(), async (steps, diskLate) => {
      const life = new Life();
      await life.begin();
      for (const one of steps) {
        await life.live(one);
        life.checkUnlocks();
      }
      await life.end(diskLate);
      life.checkUnlocks();
      life.checkEnd();
      opened += life.bench.strikes.filter(({ locked }) => !locked).length;
      verified += life.pins.length;
    }),
    { numRuns: 1_500 },
  );
  // orders in which nothing happens prove nothing
  expect(opened).toBeGreaterThan(100);
  expect(verified).toBeGreaterThan(20);
});
