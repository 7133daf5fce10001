import { pino } from 'pino';
import { SystemEntropy } from '#adapters/os/entropy.ts';
import { AccessMemory } from '#core/access/access-memory.ts';
import type { StateChange } from '#core/access/access-state.ts';
import type { KeptFacts } from '#core/access/kept-facts.ts';
import { forgetPosition, positionOf, recount, resetZone } from '#core/access/rules/position.ts';
import { type SiteRules, siteRulesSchema } from '#core/access/site-rules.ts';
import type { JsonValue } from '#core/journal/record.ts';
import { maxPayloadBytes } from '#core/sync/topics.ts';
import type { TrustRoot } from '#core/sync/trust.ts';
import { GroupStore } from '#issuance/groups/group-store.ts';
import { OrganizationGroups } from '#issuance/groups/organization-groups.ts';
import type { SimulatedClock } from '#simulators/clock/simulated-clock.ts';
import { GroupState } from '#terminal/group-state.ts';
import { testKeys } from '../core/sync/keys.ts';
import type { makeOrganization } from './organization-bench.ts';

const log = pino({ level: 'silent' });
const scope = { group: 'all', apart: 'grant' } as const;

/** Two zones whose people three terminals count together, and one that is each terminal's own business. */
export const writtenRules = {
  formatVersion: 1,
  organization: 'city',
  profiles: [{ id: 'a', userNumberFormat: { alphabet: 'digits', minimumLength: 8, maximumLength: 8 } }],
  groups: ['staff'],
  zones: [
    { id: 'hall', passback: { mode: 'hard', scope }, occupancy: { limit: 3, scope } },
    { id: 'lab', occupancy: { limit: 3, scope } },
  ],
  doors: [{ id: 'front', reentry: { after: '1 min', scope } }],
  services: [
    { id: 'taxi', kind: 'uses', limit: 3, per: 'day', scope },
    { id: 'gift', kind: 'once', scope },
    { id: 'own', kind: 'once' },
  ],
  terminalGroups: [{ id: 'all', terminals: ['east', 'west', 'north'] }],
};
export const groupRules: SiteRules = siteRulesSchema.parse(writtenRules);

interface Message {
  readonly from: string;
  readonly to: string;
  readonly payload: Uint8Array;
}

/** A terminal as far as groups are concerned; its disk outlives it. */
export class GroupedTerminal {
  readonly name: string;
  readonly facts = new Map<string, Map<string, JsonValue>>();
  readonly #clock: SimulatedClock;
  readonly #root: TrustRoot;
  readonly #send: (message: Omit<Message, 'to'>) => void;
  rules = groupRules;
  memory!: AccessMemory;
  state!: GroupState;
  /** entries so far, and how many of them were of groups */
  sequence = 0;
  entries = 0;
  incarnation = 'first';
  connected = false;
  #taps = 0;

  constructor(
    name: string,
    parts: { clock: SimulatedClock; root: TrustRoot; send: (message: Omit<Message, 'to'>) => void },
  ) {
    this.name = name;
    this.#clock = parts.clock;
    this.#root = parts.root;
    this.#send = parts.send;
  }

  async start(): Promise<void> {
    const memory: AccessMemory = new AccessMemory({
      terminal: this.name,
      sharedChanged: () => undefined,
      sharing: {
        apart: (group) => state.apart(group),
        outgoing: (changes) => state.outgoing(changes),
        durable: (outgoing) => state.durable(outgoing),
      },
    });
    memory.load(new Map(this.facts.get('')));
    const state: GroupState = new GroupState({
      ...{ terminal: this.name, memory, clock: this.#clock, log },
      journal: {
        head: () => ({
          terminal: this.name,
          incarnation: this.incarnation,
          sequence: this.sequence,
          hash: '',
        }),
        decided: async ({ facts }) => {
          this.entries += 1;
          await this.#append(facts);
        },
      },
      holders: { page: async (query) => this.#page(query) },
      rules: async () => this.rules,
    });
    this.memory = memory;
    this.state = state;
    await state.follow();
    state.join({
      root: () => this.#root,
      entropy: new SystemEntropy(),
      publish: async ({ payload }) => {
        if (payload.length > maxPayloadBytes) throw new TypeError(`a payload of ${payload.length} bytes`);
        if (this.state === state && this.connected) this.#send({ from: this.name, payload });
      },
    });
  }

  connect(on: boolean): void {
    if (this.connected === on) return;
    this.connected = on;
    if (on) this.state.connected();
    else this.state.lost();
  }

  /** Dies, and begins again with what its disk has. */
  async crash(): Promise<void> {
    const on = this.connected;
    this.connect(false);
    await this.start();
    this.connect(on);
  }

  async #append(facts: KeptFacts | undefined): Promise<void> {
    const { state } = this;
    await Promise.resolve();
    if (this.state !== state) return;
    this.sequence += 1;
    for (const { holderId = '', key, value } of facts?.changes ?? []) {
      const own = this.facts.get(holderId) ?? new Map<string, JsonValue>();
      this.facts.set(holderId, own);
      if (value === undefined) own.delete(key);
      else own.set(key, value);
    }
    facts?.durable();
  }

  #page({
    prefix,
    after,
    limit,
  }: {
    prefix: string;
    after?: { holderId: string; key: string };
    limit: number;
  }) {
    const place = (one: { holderId: string; key: string }) => `${one.holderId}\0${one.key}`;
    return [...this.facts]
      .flatMap(([holderId, own]) => [...own].map(([key, value]) => ({ holderId, key, value })))
      .filter((fact) => fact.key.startsWith(prefix) && (!after || place(fact) > place(after)))
      .toSorted((a, b) => (place(a) < place(b) ? -1 : 1))
      .slice(0, limit);
  }

  /** Makes durable what `make` changes; resolves to the tap. */
  async change(holderId: string, make: (view: View) => readonly StateChange[]): Promise<string> {
    for (;;) {
      const found = { holderId, facts: new Map(this.facts.get(holderId)), asked: this.memory.asked() };
      const view = this.memory.view(found);
      if (!view) continue;
      const changes = make(view);
      const unsettled = view.unsettled(changes);
      if (unsettled) {
        await unsettled;
        continue;
      }
      this.#taps += 1;
      const tap = `${this.name}-${this.#taps}`;
      await this.#append(this.memory.keep(tap, changes, found));
      return tap;
    }
  }

  /** Lets a holder into a zone, or out of all. */
  enter(holderId: string, zone: string | null, skewMs = 0): Promise<string> {
    const since = {
      terminal: this.name,
      utcMs: this.#clock.utcMs() + skewMs,
      trusted: true,
      monotonicMs: 0,
      bootId: 'b',
    };
    return this.change(holderId, (view) => {
      const epoch = zone === null ? 0 : Number(view.shared(`epoch/${zone}`) ?? 0);
      const at = { zone, epoch, since };
      const from = positionOf(view.holder('at'), view);
      return [{ key: 'at', holderId, value: at, ifPassed: true }, ...recount([{ from, to: at }], view)];
    });
  }

  async takeBack(tap: string): Promise<void> {
    for (;;) {
      const kept = this.memory.notPassed(tap, 'not-passed');
      if (!(kept instanceof Promise)) return this.#append(kept);
      await kept;
    }
  }

  forget(holderId: string): Promise<string> {
    return this.change(holderId, (view) => forgetPosition(holderId, view.holder('at'), view));
  }

  reset(zone: string): Promise<string> {
    return this.change('nobody', (view) => resetZone(zone, view));
  }

  /** What it knows of facts that are shared, for comparison. */
  shared(): unknown {
    const kinds = /^(?:at|count|epoch|passed|once\/gift|uses|loans|loan)(?:\/|$)/;
    return [...this.facts]
      .flatMap(([holder, own]) => [...own].map(([key, value]) => [holder, key, value] as const))
      .filter(([, key]) => kinds.test(key))
      .toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  }
}

type View = NonNullable<ReturnType<AccessMemory['view']>>;

/** A server and terminals that count together, and all that is on its way between them, in the hands of the test. */
export class GroupBench {
  readonly clock: SimulatedClock;
  readonly wire: Message[] = [];
  readonly terminals: ReadonlyMap<string, GroupedTerminal>;
  readonly store: GroupStore;
  /** as the server has them */
  rules = groupRules;
  readonly #ledger: Awaited<ReturnType<typeof makeOrganization>>['ledger'];
  groups: OrganizationGroups;

  constructor(city: Awaited<ReturnType<typeof makeOrganization>>, root: TrustRoot) {
    this.clock = city.clock;
    this.#ledger = city.ledger;
    this.store = new GroupStore({ ledger: city.ledger, entropy: new SystemEntropy() });
    this.groups = this.#serve();
    this.terminals = new Map(
      ['east', 'west', 'north'].map((name) => [
        name,
        new GroupedTerminal(name, {
          clock: this.clock,
          root,
          send: (message) => this.wire.push({ ...message, to: 'server' }),
        }),
      ]),
    );
  }

  #serve(): OrganizationGroups {
    return new OrganizationGroups({
      ...{ organization: 'city', store: this.store, clock: this.clock, log },
      rules: async () => this.rules,
      keys: async () => ({ signers: testKeys.policy.slice(0, 1) }),
      publish: async ({ to, payload }) => {
        if (payload.length > maxPayloadBytes) throw new TypeError(`a payload of ${payload.length} bytes`);
        this.wire.push({ from: 'server', to: to.terminal, payload });
        return 'taken';
      },
    });
  }

  /** The server begins again, with the database as it is. */
  restartServer(): void {
    this.groups = this.#serve();
  }

  async clear(): Promise<void> {
    for (const table of ['group_facts', 'group_writers', 'group_conflicts'] as const)
      await this.#ledger.db.deleteFrom(table).execute();
    await this.#ledger.db.updateTable('group_state').set({ server: '', number: 0 }).execute();
  }

  /** What a backup would have; resolves to what puts it back. */
  async backup(): Promise<() => Promise<void>> {
    const { db } = this.#ledger;
    const [facts, writers, state] = [
      await db.selectFrom('group_facts').selectAll().execute(),
      await db.selectFrom('group_writers').selectAll().execute(),
      await db.selectFrom('group_state').selectAll().executeTakeFirstOrThrow(),
    ];
    return async () => {
      await this.clear();
      await db.updateTable('group_state').set(state).execute();
      if (facts.length > 0) await db.insertInto('group_facts').values(facts).execute();
      if (writers.length > 0) await db.insertInto('group_writers').values(writers).execute();
      this.restartServer();
    };
  }

  terminal(name: string): GroupedTerminal {
    const found = this.terminals.get(name);
    if (!found) throw new Error(name);
    return found;
  }

  async start(): Promise<void> {
    for (const terminal of this.terminals.values()) await terminal.start();
  }

  connectAll(): void {
    for (const terminal of this.terminals.values()) terminal.connect(true);
  }

  async deliver({ from, to, payload }: Message): Promise<void> {
    if (to === 'server') {
      await this.groups.take(from, payload);
      await this.groups.push();
    } else if (this.terminal(to).connected) {
      await this.terminal(to).state.received(payload);
    }
    await this.settle();
  }

  /** What is on its way to `to` arrives. */
  async carry(to: string): Promise<void> {
    for (let message = this.#next(to); message; message = this.#next(to)) await this.deliver(message);
  }

  #next(to: string): Message | undefined {
    const at = this.wire.findIndex((message) => message.to === to);
    return at < 0 ? undefined : this.wire.splice(at, 1)[0];
  }

  /** Lets everything happen that needs no time. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 30; turn += 1) await Promise.resolve();
  }

  async pass(ms: number): Promise<void> {
    await this.clock.advanceAsync(ms);
    await this.settle();
  }

  /** Everything arrives, and what is told again is told. */
  async calm(rounds = 6): Promise<void> {
    for (let round = 0; round < rounds; round += 1) {
      await this.pass(30);
      for (let message = this.wire.shift(); message; message = this.wire.shift()) await this.deliver(message);
      await this.pass(10_000);
    }
  }

  async stop(): Promise<void> {
    for (const { state } of this.terminals.values()) await state.stop();
  }
}
