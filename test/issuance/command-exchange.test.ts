import fc from 'fast-check';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { SystemEntropy } from '#adapters/os/entropy.ts';
import type { CommandAction } from '#core/sync/command.ts';
import type { TrustRoot } from '#core/sync/trust.ts';
import { CommandDispatch } from '#issuance/commands/command-dispatch.ts';
import { CommandOrders } from '#issuance/commands/command-orders.ts';
import { ServerCommands } from '#terminal/server-commands.ts';
import { pinnedRoot, testKeys } from '../core/sync/keys.ts';
import { Bench, MemoryJournal } from '../terminal/terminal-fixture.ts';
import { databaseRigs, type StartedRig } from './database-rigs.ts';
import { makeOrganization } from './organization-bench.ts';

const entropy = new SystemEntropy();
const log = pino({ level: 'silent' });
const unlock: CommandAction = { kind: 'unlock-once', door: 'door-1' };
/** what may come of a command that was sent to a terminal that works */
const named = ['done', 'expired', 'replayed', 'unavailable', 'door-failed'];

type Step =
  | { readonly kind: 'give' }
  | { readonly kind: 'round' }
  | { readonly kind: 'deliver' | 'lose' | 'repeat'; readonly at: number; readonly hasty: boolean }
  | { readonly kind: 'pass'; readonly ms: number }
  | { readonly kind: 'restart' | 'kill' | 'server-restart' };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: fc.constant({ kind: 'give' as const }) },
  { weight: 4, arbitrary: fc.constant({ kind: 'round' as const }) },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constantFrom('deliver', 'lose', 'repeat'),
      at: fc.nat(20),
      hasty: fc.boolean(),
    }) as fc.Arbitrary<Step>,
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 50_000 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom('restart', 'kill', 'server-restart'),
    }) as fc.Arbitrary<Step>,
  },
);

type CityLedger = Awaited<ReturnType<typeof makeOrganization>>['ledger'];

let rig: StartedRig;
let root: TrustRoot;
beforeAll(async () => {
  const [sqlite] = databaseRigs;
  if (!sqlite) throw new Error('no database');
  rig = await sqlite.start();
  root = await pinnedRoot();
});
afterAll(() => rig.stop());

/** A server and a terminal, and everything between them, which is in the hands of the test. */
class Exchange {
  readonly orders: CommandOrders;
  /** how often each command moved the door, over all runs of the terminal */
  readonly acted: string[] = [];
  #bench: Bench;
  #dispatch: CommandDispatch;
  #link: ServerCommands;
  #passedMs = 0;
  #wire: { readonly to: 'terminal' | 'server'; readonly payload: Uint8Array }[] = [];
  readonly #ledger: CityLedger;

  constructor(ledger: CityLedger) {
    this.#ledger = ledger;
    this.#bench = new Bench({ into: 'hall' });
    const clock = this.#clock();
    const keys = async () => ({ signers: testKeys.command });
    this.orders = new CommandOrders({ organization: 'city', ledger, clock, entropy, keys });
    this.#dispatch = this.#makeDispatch();
    this.#link = this.#makeLink(this.#bench);
  }

  #clock() {
    const now = () => this.#bench.clock;
    return { ...this.#bench.clock, utcMs: () => now().utcMs() } as Bench['clock'];
  }

  #makeDispatch(): CommandDispatch {
    return new CommandDispatch({
      ...{ organization: 'city', ledger: this.#ledger, clock: this.#clock(), entropy, log },
      keys: async () => ({ signers: testKeys.command }),
      publish: async ({ payload }) => {
        this.#wire.push({ to: 'terminal', payload });
        return 'taken';
      },
    });
  }

  #makeLink(bench: Bench): ServerCommands {
    return new ServerCommands({
      terminal: 'test',
      commands: bench.terminal.commands,
      root: () => root,
      renewRoots: async () => undefined,
      publish: async ({ payload }) => {
        if (bench === this.#bench) this.#wire.push({ to: 'server', payload });
        return 'taken';
      },
      log,
    });
  }

  async start(): Promise<void> {
    await this.#bench.terminal.start();
    await this.#bench.settle();
  }

  async end(): Promise<void> {
    this.#gather();
    await this.#bench.terminal.stop();
  }

  #gather(): void {
    for (const { locked, cause } of this.#bench.strikes.splice(0)) {
      if (!locked && cause !== undefined) this.acted.push(cause);
    }
  }

  /** Ends the terminal in order, or as it is: with what its disk has by then. */
  async again(killed: boolean): Promise<void> {
    const journal = new MemoryJournal();
    if (!killed) await this.#bench.terminal.stop();
    journal.records.push(...this.#bench.journal.records);
    for (const [holder, facts] of this.#bench.journal.facts) journal.facts.set(holder, new Map(facts));
    const before = this.#bench;
    this.#gather();
    this.#bench = new Bench({ into: 'hall', journal });
    this.#bench.clock.stepUtc(this.#passedMs);
    this.#link = this.#makeLink(this.#bench);
    await this.start();
    if (killed) {
      // whatever the dead one still does reaches no door and no disk of this one
      await before.terminal.stop();
    }
  }

  async step(one: Step): Promise<void> {
    switch (one.kind) {
      case 'give': {
        const request = { action: unlock, reason: 'test', to: { terminals: ['test'] } };
        await this.orders.give(request, { actor: { id: 'tanaka', via: 'session' } });
        return;
      }
      case 'round':
        return this.#dispatch.round();
      case 'server-restart':
        this.#dispatch = this.#makeDispatch();
        return;
      case 'pass':
        return this.pass(one.ms);
      case 'restart':
      case 'kill':
        return this.again(one.kind === 'kill');
      default: {
        const at = one.at % Math.max(this.#wire.length, 1);
        const message = this.#wire[at];
        if (!message) return;
        if (one.kind !== 'repeat') this.#wire.splice(at, 1);
        if (one.kind === 'lose') return;
        await this.#deliver(message);
        // a kill may come before the terminal has done what it does with it
        if (!one.hasty) await this.#bench.settle();
      }
    }
  }

  async pass(ms: number): Promise<void> {
    this.#passedMs += ms;
    await this.#bench.clock.advanceAsync(ms);
  }

  async #deliver({ to, payload }: { to: 'terminal' | 'server'; payload: Uint8Array }): Promise<void> {
    if (to === 'server') return this.#dispatch.take([{ terminal: 'test', payload }]);
    await this.#link.received(payload);
  }

  /** From now on nothing is lost. */
  async calm(): Promise<void> {
    for (let turn = 0; turn < 5; turn += 1) {
      await this.#dispatch.heard('test');
      await this.#dispatch.round();
      while (this.#wire.length > 0) {
        const [message] = this.#wire.splice(0, 1);
        if (message) await this.#deliver(message);
        await this.#bench.settle();
      }
      await this.pass(11_000);
      await this.#bench.settle();
    }
    this.#gather();
  }
}

/** One terminal that was told nothing yet. */
async function begin(ledger: CityLedger): Promise<void> {
  for (const table of ['commands', 'command_orders', 'terminals'] as const)
    await ledger.db.deleteFrom(table).execute();
  await ledger.db
    .insertInto('terminals')
    .values({ terminal_id: 'test', name: 'test', made_at_ms: 0 })
    .onConflict((at) => at.doNothing())
    .execute();
  const row = {
    serial_number: '1',
    terminal_id: 'test',
    key_id: '',
    device_key: new Uint8Array(),
    certificate: new Uint8Array(),
    not_before_ms: 0,
    not_after_ms: Number.MAX_SAFE_INTEGER,
    revoked_at_ms: null,
    reason: null,
  };
  await ledger.db
    .insertInto('certificates')
    .values(row)
    .onConflict((at) => at.doNothing())
    .execute();
}

it('no command acts twice, and each gets a result, whatever is lost, doubled, late or killed', async () => {
  let dones = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      const city = await makeOrganization(rig, 'city');
      await begin(city.ledger);
      const exchange = new Exchange(city.ledger);
      await exchange.start();
      for (const one of steps) await exchange.step(one);
      await exchange.calm();
      const commands = (await exchange.orders.page('', 100)).flatMap(({ terminals }) => terminals);
      await exchange.end();
      await city.databases.stop();
      const times = Map.groupBy(exchange.acted, (id) => id);
      expect([...times.values()].filter(({ length }) => length > 1)).toEqual([]);
      for (const { id, state, outcome } of commands) {
        expect(state).toBe('answered');
        expect(named).toContain(outcome);
        if (outcome === 'done') expect(times.has(id), 'what was done was done').toBe(true);
        if (outcome === 'expired') expect(times.has(id), 'what was late was not').toBe(false);
        if (outcome === 'done') dones += 1;
      }
    }),
    { numRuns: 60 },
  );
  expect(dones).toBeGreaterThan(10);
}, 60_000);

it.each<CommandAction>([{ kind: 'end-lockdown' }, { kind: 'end-lockdown', zones: ['hall'] }])(
  'an end that comes late lifts no lockdown that was declared since: %o',
  async (end) => {
    const city = await makeOrganization(rig, 'city');
    await begin(city.ledger);
    const exchange = new Exchange(city.ledger);
    await exchange.start();
    const give = (action: CommandAction) =>
      exchange.orders.give(
        { action, reason: 'test', to: { terminals: ['test'] } },
        { actor: { id: 'tanaka', via: 'session' } },
      );
    await give(end);
    await exchange.pass(3_600_000);
    await give({ kind: 'lockdown', zones: ['hall'] });
    await exchange.calm();
    await give(unlock);
    await exchange.calm();
    const outcomes = (await exchange.orders.page('', 100)).map(({ terminals }) => terminals[0]?.outcome);
    await exchange.end();
    await city.databases.stop();
    expect(outcomes.slice(0, 2)).toEqual(['lockdown', 'done']);
    expect(exchange.acted).toEqual([]);
  },
);
