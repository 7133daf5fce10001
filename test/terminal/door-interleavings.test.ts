import fc from 'fast-check';
import { expect, it } from 'vitest';
import { doorSettingsSchema } from '#core/access/door-settings.ts';
import { doorRules } from '../policy-slices.ts';
import { Bench, type HeldCard, reading } from './terminal-fixture.ts';

type Door = 1 | 2;
type Person = 'free' | 'toggler' | 'guard' | 'former';
type Step =
  | { readonly do: 'tap'; readonly door: Door; readonly person: Person }
  | { readonly do: 'exit' | 'push' | 'slow' | 'cut'; readonly door: Door; readonly on: boolean }
  | { readonly do: 'lockdown' | 'fire'; readonly on: boolean }
  | { readonly do: 'policy'; readonly number: number }
  | { readonly do: 'wait'; readonly ms: number }
  /** one thing that waits for disk or policy comes to its end, whichever the scheduler likes */
  | { readonly do: 'turn' };

const door = fc.constantFrom<Door>(1, 2);
const constant = <const T extends string>(value: T) => fc.constant(value);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: constant('tap'),
      door,
      person: fc.constantFrom<Person>('free', 'free', 'toggler', 'guard', 'former'),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom('exit' as const, 'push', 'push', 'slow', 'cut'),
      door,
      on: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom('lockdown' as const, 'fire'), on: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ do: constant('policy'), number: fc.integer({ min: 1, max: 4 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: constant('wait'),
      ms: fc.constantFrom(1, 199, 200, 500, 4_999, 5_000, 5_001, 30_000, 60_000),
    }),
  },
  { weight: 8, arbitrary: fc.record({ do: constant('turn') }) },
);
const lives = fc.array(step, { minLength: 4, maxLength: 50, size: 'max' });

/** Two interlocked doors; disk and policy answer in whatever order the scheduler likes. */
class ManTrap {
  readonly bench: Bench;
  readonly #scheduler: fc.Scheduler;
  readonly #people = new Map<string, Person>();
  readonly #cards: HeldCard[] = [];
  readonly #exits: Record<Door, boolean> = { 1: false, 2: false };
  #lockdown = false;
  #fire = false;
  readonly violations: string[] = [];
  opened = 0;
  refused = 0;

  constructor(scheduler: fc.Scheduler) {
    this.#scheduler = scheduler;
    this.bench = new Bench({
      hardware: ['input:lockdown', 'input:fire'],
      settings: {
        interlocks: [['door-1', 'door-2']],
        doors: ['door-1', 'door-2'].map((doorId) => ({ doorId, settings: doorSettingsSchema.parse({}) })),
        automation: {
          inputs: ['lockdown', 'fire'],
          outputs: [],
          rules: (['lockdown', 'fire'] as const).flatMap((condition) => [
            { when: { input: condition, is: 'on' }, do: [{ condition, set: 'on' }] },
            { when: { input: condition, is: 'off' }, do: [{ condition, set: 'off' }] },
          ]),
        },
      },
    });
    this.#delay();
    this.#install(1);
  }

  /** Whatever moves a strike is judged at that very moment. */
  async begin(): Promise<void> {
    await this.#through(this.bench.terminal.start());
    for (const [id, one] of this.bench.doors) {
      const set = one.set.bind(one);
      one.set = (locked, cause) => {
        const wrong = locked ? undefined : this.#wrong(id, cause);
        // thrown here it would be taken for a fault of the hardware
        if (wrong) this.violations.push(wrong);
        return set(locked, cause);
      };
    }
  }

  async live(one: Step): Promise<void> {
    const { bench } = this;
    switch (one.do) {
      case 'tap':
        return this.#tap(one.door, one.person);
      case 'exit':
        this.#exits[one.door] ||= one.on;
        return this.#door(one.door)?.pressExit(one.on);
      case 'push':
        return one.on ? void this.#door(one.door)?.push() : this.#door(one.door)?.close();
      case 'slow':
        return this.#door(one.door)?.misbehave(one.on ? { slowMs: 300 } : {});
      case 'cut':
        return this.#door(one.door)?.misbehave(one.on ? { lineGone: true } : {});
      case 'lockdown':
      case 'fire':
        if (one.do === 'fire') this.#fire = one.on;
        else this.#lockdown = one.on;
        if (one.on) bench.doors.get(`input:${one.do}`)?.force();
        else bench.doors.get(`input:${one.do}`)?.close();
        // a command given before reaches its relay before anything else happens
        return bench.settle();
      case 'policy':
        return this.#install(one.number);
      case 'wait':
        return bench.clock.advanceAsync(one.ms);
      case 'turn':
        if (this.#scheduler.count() > 0) await this.#scheduler.waitOne();
        return bench.settle();
      default:
        return one satisfies never;
    }
  }

  /** Shutdown in the midst of it all. */
  async end(): Promise<void> {
    const { bench } = this;
    for (const one of bench.doors.values()) one.misbehave({});
    await this.#through(bench.terminal.stop());
    expect([bench.locked('door-1'), bench.locked('door-2')]).toEqual([true, true]);
    expect(bench.clock.pendingTimers()).toBe(0);
    const decisions = bench.journal.records.filter(({ kind }) => kind === 'decision');
    expect(decisions.map(({ tapId }) => tapId).toSorted()).toEqual(
      this.#cards.map(({ tapId }) => tapId).toSorted(),
    );
    for (const { tapId, body } of decisions) {
      if (body.result !== 'granted') continue;
      const { policyVersion } = body.basis as { policyVersion: number };
      // who is no longer in a policy is never let in by it, however it was switched meanwhile
      if (this.#people.get(tapId ?? '') === 'former') expect(policyVersion % 2).toBe(1);
    }
    const actuations = bench.journal.records
      .filter(({ kind }) => kind === 'actuation')
      .map(({ body }) => body);
    this.opened += actuations.filter(({ result }) => result === 'unlocked').length;
    this.refused += actuations.filter(
      ({ reason }) => reason === 'interlock-busy' || reason === 'lockdown',
    ).length;
  }

  /** What is wrong with a strike that unlocks now. */
  #wrong(id: string, cause: string | undefined): string | undefined {
    const { bench } = this;
    const own: Door = id === 'door-1' ? 1 : 2;
    const other = bench.doors.get(own === 1 ? 'door-2' : 'door-1')?.wires();
    const facts = bench.journal.facts.get('');
    if (cause === undefined) {
      const held = this.#fire || facts?.has(`hold/${id}`);
      return held || this.#exits[own] ? undefined : 'unlocked without a tap';
    }
    const granted = bench.journal.records.some(
      ({ kind, tapId, body }) =>
        kind === 'decision' && tapId === cause && body.result === 'granted' && body.door === id,
    );
    if (!granted) return 'unlocked before the grant was durable';
    // an exit request lengthens a grant and is named after it; a hold is renewed through one
    if (this.#fire || this.#exits[own] || facts?.has(`hold/${id}`)) return undefined;
    if (this.#lockdown && this.#people.get(cause) !== 'guard') return 'unlocked in lockdown';
    if (other?.locked && !other.open) return undefined;
    return 'both doors of an interlock';
  }

  #tap(at: Door, person: Person): void {
    const outcome = { kind: 'reading', reading: { ...reading, userNumber: `${person}-${at}` } } as const;
    const card = this.bench.present(outcome, `reader-${at}`);
    this.#people.set(card.tapId, person);
    this.#cards.push(card);
  }

  #door(at: Door) {
    return this.bench.doors.get(`door-${at}`);
  }

  /** Odd versions know everybody, even ones no `former`. */
  #install(number: number): void {
    const { policy } = this.bench;
    policy.installed = { number, organization: 'example', timeZone: 'Asia/Tokyo', installedAtMs: 0 };
    for (const at of [1, 2] as const) {
      const rules = doorRules(
        { id: `door-${at}`, assurance: [], toggle: { groups: ['togglers'] }, inEvacuation: 'unlock' },
        { groups: ['staff', 'togglers', 'guards'], lockdown: { exempt: ['guards'] } },
      );
      policy.doors.set(`door-${at}`, rules);
      const groups = {
        free: ['staff'],
        toggler: ['staff', 'togglers'],
        guard: ['staff', 'guards'],
        former: ['staff'],
      };
      for (const person of ['free', 'toggler', 'guard', 'former'] as const) {
        const status = person === 'former' && number % 2 === 0 ? ('ended' as const) : ('active' as const);
        this.bench.permit(`${person}-${at}`, {
          rules,
          holder: { holderId: person, status, groups: groups[person] },
        });
      }
    }
  }

  /** Every answer of disk and policy waits until the scheduler lets it come. */
  #delay(): void {
    const { journal, policy } = this.bench;
    const wait = (what: string) => this.#scheduler.schedule(Promise.resolve(), what);
    const append = journal.append.bind(journal);
    let last: Promise<unknown> = Promise.resolve();
    // a journal answers in the order it was asked
    journal.append = async (records) => {
      const before = last;
      const turn = wait('journal');
      last = turn.then(() => before);
      await last;
      return append(records);
    };
    const lookUp = policy.lookUp.bind(policy);
    policy.lookUp = async (query) => {
      await wait('policy');
      return lookUp(query);
    };
  }

  /** Lets everything that `done` needs come, in time and in the scheduler's order. */
  async #through(done: Promise<void>): Promise<void> {
    let ended = false;
    const end = done.then(() => {
      ended = true;
    });
    for (let turn = 0; turn < 1_000 && !ended; turn += 1) {
      await this.bench.settle();
      if (this.#scheduler.count() > 0) await this.#scheduler.waitOne();
      else if (!ended) await this.bench.clock.advanceAsync(10);
    }
    expect(ended).toBe(true);
    await end;
    while (this.#scheduler.count() > 0) await this.#scheduler.waitOne();
  }
}

it('two interlocked doors keep their promises in every order of events', { timeout: 60_000 }, async () => {
  let opened = 0;
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), lives, async (scheduler, steps) => {
      const trap = new ManTrap(scheduler);
      await trap.begin();
      for (const one of steps) {
        await trap.live(one);
        expect(trap.violations).toEqual([]);
      }
      await trap.end();
      expect(trap.violations).toEqual([]);
      opened += trap.opened;
      refused += trap.refused;
    }),
    { numRuns: 500 },
  );
  // orders in which nothing happens prove nothing
  expect(opened).toBeGreaterThan(100);
  expect(refused).toBeGreaterThan(10);
});
