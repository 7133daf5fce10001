import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Fault } from '#core/fault.ts';
import type { Command, CommandResult } from '#core/sync/command.ts';
import { CommandBench } from './command-bench.ts';
import { Bench, MemoryJournal } from './terminal-fixture.ts';

type Step =
  /** one of few commands to unlock, each time the same one */
  | { readonly do: 'unlock'; readonly which: number; readonly via: 'local' | 'issuance' }
  | { readonly do: 'lockdown'; readonly on: boolean }
  | { readonly do: 'disk'; readonly state: 'works' | 'full' | 'hangs' }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'turn' }
  /** the power fails, and comes back */
  | { readonly do: 'crash' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('unlock' as const),
      which: fc.nat(3),
      via: fc.constantFrom('local' as const, 'issuance'),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('lockdown' as const), on: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('disk' as const),
      state: fc.constantFrom('works' as const, 'works', 'full', 'hangs'),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('wait' as const),
      ms: fc.constantFrom(1, 1_500, 6_000, 11_000, 61_000),
    }),
  },
  { weight: 3, arbitrary: fc.constant({ do: 'turn' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'crash' as const }) },
);

/** What the disk has at this moment; whatever is on its way there is lost. */
function asOnDisk(journal: MemoryJournal): MemoryJournal {
  const copy = new MemoryJournal();
  copy.records.push(...journal.records);
  for (const [holder, facts] of journal.facts) copy.facts.set(holder, new Map(facts));
  return copy;
}

/** Commands given in any order, again and again, while the disk fails and the power goes. */
class Story {
  #bench = new Bench();
  #commands = new CommandBench(this.#bench);
  readonly #given = new Map<number, Command>();
  readonly #unlocks: {
    readonly id: string;
    readonly recorded: boolean;
    readonly locked: boolean;
  }[] = [];
  readonly #answers = new Map<string, CommandResult[]>();
  #free: (() => void) | undefined;

  start(): Promise<void> {
    return this.#bench.terminal.start();
  }

  async run(steps: readonly Step[]): Promise<void> {
    for (const one of steps) {
      await this.#take(one);
      this.#look();
    }
    await this.#disk('works');
    await this.#bench.clock.advanceAsync(20_000);
    this.#look();
    await this.#bench.terminal.stop();
  }

  /** Each command unlocked once at most, after its entry, not in lockdown; and `done` was told once at most; how many were. */
  check(): number {
    const ids = this.#unlocks.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const unlock of this.#unlocks) expect(unlock).toMatchObject({ recorded: true, locked: false });
    for (const [id, answers] of this.#answers) {
      const done = answers.filter(({ outcome }) => outcome === 'done');
      expect(done.length).toBeLessThanOrEqual(ids.includes(id) ? 1 : 0);
    }
    return ids.length;
  }

  async #take(one: Step): Promise<void> {
    const { clock } = this.#bench;
    switch (one.do) {
      case 'unlock': {
        const command = this.#given.get(one.which) ?? this.#first(one.which);
        const { commands } = this.#bench.terminal;
        void commands.execute(command, one.via).then((result) => {
          this.#answers.set(command.id, [...(this.#answers.get(command.id) ?? []), result]);
        });
        return;
      }
      case 'lockdown': {
        const command = this.#commands.command({ kind: one.on ? 'lockdown' : 'end-lockdown' });
        void this.#bench.terminal.commands.execute(command, 'local');
        return;
      }
      case 'disk':
        return this.#disk(one.state);
      case 'wait':
        return clock.advanceAsync(one.ms);
      case 'turn':
        return this.#bench.settle();
      case 'crash':
        return this.#crash();
      default:
        return one satisfies never;
    }
  }

  #first(which: number): Command {
    const command = this.#commands.command({ kind: 'unlock-once', door: 'door-1' });
    this.#given.set(which, command);
    return command;
  }

  async #disk(state: 'works' | 'full' | 'hangs'): Promise<void> {
    const { journal } = this.#bench;
    journal.fault = state === 'full' ? new Fault('journal-full', 'no space') : undefined;
    this.#free?.();
    this.#free = undefined;
    journal.gate = undefined;
    if (state === 'hangs') {
      journal.gate = new Promise((resolve) => {
        this.#free = resolve;
      });
    }
    await this.#bench.settle();
  }

  async #crash(): Promise<void> {
    const dead = this.#bench;
    const journal = asOnDisk(dead.journal);
    // nothing of the dead program reaches a disk or a door any more
    dead.journal.fault = new Fault('journal-unwritable', 'no power');
    this.#free?.();
    this.#free = undefined;
    await dead.terminal.stop();
    this.#look();
    this.#bench = new Bench({ journal });
    this.#bench.clock.stepUtc(dead.clock.utcMs() - this.#bench.clock.utcMs());
    this.#commands = new CommandBench(this.#bench);
    await this.#bench.terminal.start();
  }

  /** Looks at the strikes that have moved since the last look. */
  #look(): void {
    const { strikes, journal } = this.#bench;
    for (const { locked, cause, durable } of strikes.splice(0)) {
      if (locked || cause === undefined) continue;
      const before = journal.records.slice(0, durable);
      const recorded = before.some(({ body: { id, outcome } }) => id === cause && outcome === 'accepted');
      const inForce = before.findLast(
        ({ body: { command, outcome } }) =>
          (command === 'lockdown' || command === 'end-lockdown') && outcome === 'done',
      );
      this.#unlocks.push({ id: cause, recorded, locked: inForce?.body.command === 'lockdown' });
    }
  }
}

it('no command acts twice, unrecorded or in a lockdown, however often it comes and whatever fails', async () => {
  let unlocked = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 25 }), async (steps) => {
      const story = new Story();
      await story.start();
      await story.run(steps);
      unlocked += story.check();
    }),
    { numRuns: 150 },
  );
  expect(unlocked, 'doors that moved in all of these').toBeGreaterThan(100);
});
