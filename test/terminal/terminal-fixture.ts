import { pino } from 'pino';
import type { Facts } from '#core/access/access-state.ts';
import { doorSettingsSchema } from '#core/access/door-settings.ts';
import type { DoorPolicy, DoorRules, PolicySlice, PolicyVersion } from '#core/access/policy.ts';
import { rollCall } from '#core/access/rules/position.ts';
import type { CardOutcome, PinOutcome, Reading } from '#core/card/reading.ts';
import { Fault } from '#core/fault.ts';
import type { JournalHead, JournalRecord, JsonValue } from '#core/journal/record.ts';
import type { CardReaderEvents, CardReaders, PresentedCard } from '#ports/card-reader.ts';
import type { HolderFacts } from '#ports/holder-facts.ts';
import type { Indication } from '#ports/indicator.ts';
import type { JournalAppend, JournalSpace } from '#ports/journal-append.ts';
import type { KeyErasure } from '#ports/key-erasure.ts';
import type { ClaimQuery, LookedUp, PolicyLookup, PolicyQuery } from '#ports/policy-lookup.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';
import { SimulatedDoor } from '#simulators/door/simulated-door.ts';
import { SimulatedDoorHardware } from '#simulators/door/simulated-hardware.ts';
import { SimulatedPinPad } from '#simulators/door/simulated-pin-pad.ts';
import type { PolicyDistribution } from '#terminal/policy-distribution.ts';
import { createTerminal, type Terminal, type TerminalSettings } from '#terminal/terminal.ts';
import type { TimingSettings } from '#terminal/timing-watch.ts';
import { doorRules } from '../policy-slices.ts';

/** A journal in memory whose disk can be slow, full or gone. */
export class MemoryJournal implements JournalAppend {
  readonly records: JournalRecord[] = [];
  /** by holder, those about the terminal as a whole under the empty one */
  readonly facts = new Map<string, Map<string, JsonValue>>();
  fault: Fault | undefined;
  /** while set, an append waits for it */
  gate: Promise<void> | undefined;
  stopped = false;

  start(): Promise<JournalHead> {
    return this.#answer();
  }

  async append(records: readonly JournalRecord[]): Promise<JournalHead> {
    await this.gate;
    if (this.fault) throw this.fault;
    this.records.push(...records);
    for (const { holderId = '', key, value } of records.flatMap(({ changes }) => changes ?? [])) {
      const facts = this.facts.get(holderId) ?? new Map<string, JsonValue>();
      this.facts.set(holderId, facts);
      if (value === undefined) facts.delete(key);
      else facts.set(key, value);
    }
    return this.#answer();
  }

  level: JournalSpace['level'] = 'ample';

  async space(): Promise<JournalSpace> {
    if (this.fault) throw this.fault;
    const entries = this.records.length;
    return { entries, reservedBytes: 1_000, usedBytes: entries, capacityEntries: 1_000, level: this.level };
  }

  /** As if an earlier boot had left the floor of time at `atMs`. */
  knowsTime(atMs: number): void {
    const floor = { atMs, monotonicUs: 0, bootId: 'an earlier boot', liftMs: 86_400_000 };
    this.facts.set('', new Map([['clock/floor', floor]]));
  }

  async sharedFacts(): Promise<Facts> {
    return new Map(this.facts.get(''));
  }

  async stop() {
    this.stopped = true;
  }

  async #answer(): Promise<JournalHead> {
    if (this.fault) throw this.fault;
    return { terminal: 'test', incarnation: 'i', sequence: this.records.length, hash: '' };
  }
}

export class MemoryPolicy implements PolicyLookup {
  readonly #journal: MemoryJournal;
  installed: PolicyVersion | undefined = {
    number: 3,
    organization: 'example',
    timeZone: 'Asia/Tokyo',
    installedAtMs: 0,
  };
  slices = new Map<string, Omit<PolicySlice, 'version'>>();
  /** what holds each door without a tap */
  doors = new Map<string, DoorRules>();
  fault: Fault | undefined;
  queries: PolicyQuery[] = [];

  constructor(journal: MemoryJournal) {
    this.#journal = journal;
  }

  async start() {}
  async stop() {}

  async lookUp(query: PolicyQuery): Promise<LookedUp> {
    if (this.fault) throw this.fault;
    this.queries.push(query);
    const version = this.installed;
    if (!version) throw new Fault('policy-absent', 'no policy is installed');
    const found = this.slices.get(query.userNumber);
    return this.#withFacts({
      version,
      rules: doorRules({ id: 'door-1' }),
      profileAdmitted: true,
      otherCards: false,
      ...found,
    });
  }

  async lookUpClaim({ diversifier }: ClaimQuery): Promise<LookedUp | undefined> {
    if (this.fault) throw this.fault;
    const version = this.installed;
    const found = [...this.slices.values()].find(({ card }) => card?.diversifier === diversifier);
    return version && found && this.#withFacts({ version, ...found });
  }

  async doorPolicy(doorId: string): Promise<DoorPolicy | undefined> {
    if (this.fault) throw this.fault;
    const version = this.installed;
    return version && { version, rules: this.doors.get(doorId) ?? doorRules({ id: doorId }) };
  }

  async version() {
    return this.installed;
  }

  #withFacts(slice: PolicySlice): LookedUp {
    return { slice, facts: new Map(this.#journal.facts.get(slice.holder?.holderId ?? 'nobody')) };
  }
}

export class HandReaders implements CardReaders {
  events: CardReaderEvents | undefined;

  async start(events: CardReaderEvents) {
    this.events = events;
    for (const name of ['reader-1', 'reader-2'])
      events.readerChanged({ name, state: 'ready', virtual: false });
  }

  async stop() {}

  list() {
    return [];
  }
}

export const reading: Reading = {
  organization: 'example',
  profileId: 'type-a',
  method: 'type-a',
  userNumber: 'A000000001',
  assurance: ['mutual-authentication', 'message-authentication'],
  keyVersion: 1,
  diversifier: '00112233445566778899',
  timings: { connectUs: 1, selectUs: 2, authenticateUs: 3, authenticateCardUs: 3, readUs: 4, exchanges: 4 },
};

export class HeldCard implements PresentedCard {
  readonly tapId: string;
  readonly readerName: string;
  readonly presentedAtUs: number;
  readonly outcome: CardOutcome;
  ended = 0;
  pins: Uint8Array[] = [];
  pinOutcome: PinOutcome = {
    kind: 'verified',
    reading: { ...reading, assurance: [...reading.assurance, 'pin'] },
  };

  constructor(parts: { tapId: string; readerName: string; presentedAtUs: number; outcome: CardOutcome }) {
    this.tapId = parts.tapId;
    this.readerName = parts.readerName;
    this.presentedAtUs = parts.presentedAtUs;
    this.outcome = parts.outcome;
  }

  async verifyPin(digits: Uint8Array): Promise<PinOutcome> {
    this.pins.push(digits.slice());
    digits.fill(0);
    return this.pinOutcome;
  }

  async end() {
    this.ended += 1;
  }
}

/** What a journal in memory knows of holders. */
function holdersIn(journal: MemoryJournal): HolderFacts {
  const answer = async <T>(value: T): Promise<T> => {
    if (journal.fault?.code === 'database-invalid') throw journal.fault;
    return value;
  };
  return {
    of: (holderId) => answer(new Map(journal.facts.get(holderId))),
    page: ({ prefix, after, limit }) => {
      const all = [...journal.facts].flatMap(([holderId, facts]) =>
        [...facts].map(([key, value]) => ({ holderId, key, value })),
      );
      const place = ({ holderId, key }: { holderId: string; key: string }) => `${holderId}\0${key}`;
      const sorted = all.toSorted((a, b) => (place(a) < place(b) ? -1 : 1));
      const next = sorted.filter((fact) => !after || place(fact) > place(after));
      return answer(next.filter(({ key }) => key.startsWith(prefix)).slice(0, limit));
    },
    whereabouts: (zone) => {
      const at = [...journal.facts].flatMap(([holderId, facts]) => {
        const value = facts.get('at');
        return holderId === '' || value === undefined ? [] : [{ holderId, value }];
      });
      const called = rollCall(at, { shared: (key) => journal.facts.get('')?.get(key) });
      return answer(
        [...called]
          .filter(([name]) => zone === undefined || zone === name)
          .map(([name, inside]) => ({
            zone: name,
            holders: inside.map(({ holderId, sinceMs }) => ({ holder: holderId, sinceMs })),
          })),
      );
    },
  };
}

export const noon = Date.UTC(2026, 10, 16, 3);

export interface BenchOptions {
  /** watched at the first reader */
  readonly timing?: TimingSettings;
  readonly keyErasure?: KeyErasure;
  /** the zone that the first reader leads into and the second out of */
  readonly into?: string;
  /** the second leads into it too */
  readonly bothInto?: boolean;
  /** what an earlier run left */
  readonly journal?: MemoryJournal;
  readonly pinDigits?: readonly [minimum: number, maximum: number];
  /** ids of hardware beside that of the two doors */
  readonly hardware?: readonly string[];
  readonly settings?: Partial<TerminalSettings>;
  /** of a terminal that a server looks after: in place of the policy in memory */
  readonly distributed?: { readonly policy: PolicyLookup; readonly distribution: PolicyDistribution };
}

/** A terminal of two doors on a simulated clock; doors, journal, policy and cards are driven by the test. */
export class Bench {
  readonly clock = new SimulatedClock({ utcMs: noon });
  readonly journal: MemoryJournal;
  readonly policy: MemoryPolicy;
  readonly readers = new HandReaders();
  readonly pinPad = new SimulatedPinPad({ clock: this.clock });
  readonly strikes: { door: string; locked: boolean; cause?: string; durable: number }[] = [];
  readonly shown: Indication[] = [];
  /** by the id of the hardware */
  readonly doors: ReadonlyMap<string, SimulatedDoor>;
  readonly terminal: Terminal;
  /** how often the terminal asked for its own restart */
  restarts = 0;
  #taps = 0;

  constructor({
    timing,
    keyErasure,
    into,
    bothInto = false,
    journal = new MemoryJournal(),
    pinDigits = [4, 8],
    hardware = [],
    settings = {},
    distributed,
  }: BenchOptions = {}) {
    this.journal = journal;
    this.policy = new MemoryPolicy(journal);
    const zones = { ...(into && { from: 'yard', to: into }) };
    const back = bothInto ? zones : { ...(into && { from: into, to: 'yard' }) };
    this.doors = new Map(['door-1', 'door-2', ...hardware].map((id) => [id, this.#door(id)]));
    this.terminal = createTerminal(
      {
        readers: this.readers,
        doors: new Map(
          [...this.doors].map(([id, door]) => [
            id,
            new SimulatedDoorHardware({ line: door, after: this.clock.after.bind(this.clock) }),
          ]),
        ),
        indicators: new Map([['r1', { show: (indication) => this.shown.push(indication) }]]),
        pinPads: new Map([['r1', this.pinPad]]),
        policy: this.policy,
        journal: this.journal,
        clock: this.clock,
        log: pino({ level: 'silent' }),
        holders: holdersIn(this.journal),
        device: {
          about: () => ({ versions: { kazasu: '0' }, parameters: [], keys: 'keys sealed' }),
          restart: () => {
            this.restarts += 1;
          },
        },
        ...(keyErasure && { keyErasure }),
        ...distributed,
      },
      {
        terminalId: 'test',
        readers: [
          { readerId: 'r1', readerName: 'reader-1', doorId: 'door-1', ...zones, ...(timing && { timing }) },
          { readerId: 'r2', readerName: 'reader-2', doorId: 'door-2', ...back },
        ],
        doors: ['door-1', 'door-2'].map((doorId) => ({ doorId, settings: doorSettingsSchema.parse({}) })),
        pin: {
          timeoutMs: 20_000,
          digits: new Map([['type-a', { minimumDigits: pinDigits[0], maximumDigits: pinDigits[1] }]]),
        },
        decisionDeadlineMs: 5_000,
        interlocks: [],
        automation: { rules: [], inputs: [], outputs: [] },
        virtualReaders: 'refused',
        ...settings,
      },
    );
  }

  /** Lets a holder of `userNumber` through both doors; `changes` spoils the record. */
  permit(userNumber: string, changes: Partial<PolicySlice> = {}): void {
    this.policy.slices.set(userNumber, {
      rules: doorRules({ id: 'door-1', assurance: ['mutual-authentication'] }),
      profileAdmitted: true,
      otherCards: false,
      card: { profileId: 'type-a', userNumber, status: 'active' },
      holder: { holderId: userNumber, status: 'active', groups: ['staff'] },
      ...changes,
    });
  }

  /** A card is at the reader and says which one it is, as `reading` with `changes`. */
  claim(changes: Partial<Reading> = {}, readerName = 'reader-1'): void {
    const { organization, profileId, diversifier = '' } = { ...reading, ...changes };
    this.readers.events?.cardDetected(readerName);
    this.readers.events?.cardClaimed(readerName, { organization, profileId, diversifier });
  }

  present(outcome: CardOutcome, readerName = 'reader-1'): HeldCard {
    this.#taps += 1;
    const card = new HeldCard({
      tapId: String(this.#taps).padStart(32, '0'),
      readerName,
      presentedAtUs: this.clock.monotonicUs(),
      outcome,
    });
    this.readers.events?.cardDetected(readerName);
    this.readers.events?.cardPresented(card);
    return card;
  }

  /** Presents a card and lets everything that needs no time happen. */
  async tap(outcome: CardOutcome = { kind: 'reading', reading }, readerName = 'reader-1'): Promise<HeldCard> {
    const card = this.present(outcome, readerName);
    await this.settle();
    return card;
  }

  settle(): Promise<void> {
    return this.clock.advanceAsync(0);
  }

  decisions(): { readonly [key: string]: unknown }[] {
    return this.journal.records.filter(({ kind }) => kind === 'decision').map(({ body }) => body);
  }

  locked(doorId = 'door-1'): boolean {
    return this.doors.get(doorId)?.wires().locked ?? false;
  }

  #door(id: string): SimulatedDoor {
    return new SimulatedDoor({
      id,
      clock: this.clock,
      record: (observation) => {
        const { what, locked, cause } = observation;
        if (what !== 'command' || locked === undefined) return;
        const durable = this.journal.records.length;
        this.strikes.push({ door: id, locked, ...(cause === undefined ? {} : { cause }), durable });
      },
    });
  }
}
