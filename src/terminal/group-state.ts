import type { Logger } from 'pino';
import { z } from 'zod';
import type { AccessMemory } from '#core/access/access-memory.ts';
import { factOf, type StateChange } from '#core/access/access-state.ts';
import { type GroupRules, sharers } from '#core/access/group-facts.ts';
import { nameOf } from '#core/access/kept-facts.ts';
import { toHex } from '#core/bytes/bytes.ts';
import { isFault } from '#core/fault.ts';
import { canonicalJson } from '#core/journal/canonical-json.ts';
import type { JsonValue } from '#core/journal/record.ts';
import {
  checkGroupFacts,
  type GroupCursor,
  type GroupFacts,
  groupReportBytes,
} from '#core/sync/group-message.ts';
import { groupScope } from '#core/sync/group-scope.ts';
import { decodeSigned } from '#core/sync/signed.ts';
import type { TrustRoot } from '#core/sync/trust.ts';
import type { CancelTimer, Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { FactQuery, HolderFacts } from '#ports/holder-facts.ts';
import type { UpMessage } from '#ports/message-bus.ts';
import { GroupOutbox, type OwnedFact } from './group-outbox.ts';
import type { JournalWriter } from './journal-writer.ts';

export interface GroupStateParts {
  readonly terminal: string;
  readonly memory: AccessMemory;
  readonly journal: Pick<JournalWriter, 'decided' | 'head'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly holders: Pick<HolderFacts, 'page'>;
  /** the rules as they are in force here; rejects where they cannot be read */
  readonly rules: () => Promise<GroupRules | undefined>;
}

/** How it reaches the others. */
export interface GroupLink {
  /** Whom this terminal believes; throws `policy-altered` while that cannot be read. */
  readonly root: () => TrustRoot;
  readonly publish: (message: UpMessage) => Promise<unknown>;
  readonly entropy: Entropy;
}

/** changes that come together are told together, in milliseconds */
const gatherMs = 20;
/** how often it is asked for what the others know though nothing happens, and how long an answer may take */
const askEveryMs = 10_000;
/** without an answer for this long the group counts as apart, in milliseconds */
const apartAfterMs = 25_000;
/** what the server has is forgotten here with the next entry, or this many together */
const clearedAtOnce = 200;
const clearEveryMs = 60_000;
/** as many as JSON can say of a number without loss */
const askBytes = 6;
const heardKey = 'group/heard';
const numberKey = 'group/n';
const numberSchema = z.int().min(0);
const heardSchema = z.strictObject({
  server: z.string(),
  scope: z.string(),
  number: z.number(),
  n: z.number(),
  /** what was shared by the rules that were in force here */
  shared: z.string(),
});

/**
 * Shares with the other terminals of its groups what the rules remember: tells what changes here, and takes what the
 * server has joined. Nothing waits for it: a tap is decided by what is known, and by whether the group is apart.
 */
export class GroupState {
  readonly #parts: GroupStateParts;
  readonly #outbox = new GroupOutbox();
  #rules: GroupRules | undefined;
  #link: GroupLink | undefined;
  #heard: GroupCursor | undefined;
  /** of the rules in force here, which may be others than those of the server that names its own */
  #shared = '';
  /** what is shared by these was not told: the server went by them before, and had all told by those before them */
  #untold = false;
  /** a cursor that counts on the disk only when everything was told anew */
  #telling = false;
  #answeredUs: number | undefined;
  #clearedUs = 0;
  #connected = false;
  #next: CancelTimer | undefined;
  #applying: Promise<void> = Promise.resolve();
  #stopped = false;
  #loaded = false;

  constructor(parts: GroupStateParts) {
    this.#parts = parts;
  }

  /**
   * Goes by the rules in force from now on; at first takes what was left to tell before a restart. To be called when the
   * facts are loaded, and when the rules may have changed. Never rejects for a fault: the group is apart until the next time.
   */
  async follow(): Promise<void> {
    try {
      this.#rules = await this.#parts.rules();
      const shared = (this.#rules && groupScope(this.#parts.terminal, this.#rules)) ?? '';
      const before = this.#shared;
      this.#shared = shared;
      if (this.#loaded && shared !== before) {
        this.#untold = true;
        this.#soon(0);
      }
      if (this.#isMember() && !this.#loaded) await this.#load();
    } catch (error) {
      if (!isFault(error)) throw error;
      this.#parts.log.warn({ fault: error.code }, `groups of terminals: ${error.message}`);
    }
  }

  async #load(): Promise<void> {
    const { memory, holders, journal } = this.#parts;
    const heard = factOf(heardSchema, heardKey, memory.shared(heardKey));
    if (heard) {
      const { n, shared, ...cursor } = heard;
      this.#heard = cursor;
      this.#untold = shared !== this.#shared;
      this.#outbox.reached(n);
    }
    this.#outbox.reached(factOf(numberSchema, numberKey, memory.shared(numberKey)) ?? 0);
    this.#outbox.reached(journal.head()?.sequence ?? 0);
    for await (const fact of pages(holders, 'out/')) this.#outbox.load(fact);
    this.#loaded = true;
    this.#soon(0);
  }

  #isMember(): boolean {
    const { terminal } = this.#parts;
    return this.#rules?.terminalGroups.some(({ terminals }) => terminals.includes(terminal)) === true;
  }

  /** From now on `link` leads to the others, while it is connected. */
  join(link: GroupLink): void {
    this.#link = link;
  }

  connected(): void {
    this.#connected = true;
    this.#outbox.lost();
    this.#soon(0);
  }

  lost(): void {
    this.#connected = false;
    this.#answeredUs = undefined;
    this.#next?.();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.lost();
    await this.#applying;
  }

  /**
   * Whether what the others of a group know cannot be counted on now. While this terminal tells what it told before anew
   * they can: what happens here is told first.
   */
  apart(_group: string): boolean {
    if (!this.#connected || this.#answeredUs === undefined || this.#untold) return true;
    return this.#parts.clock.monotonicUs() - this.#answeredUs > apartAfterMs * 1_000;
  }

  /** What is to become durable with `changes`, so that the others hear of them whatever happens. */
  outgoing(changes: readonly StateChange[]): readonly StateChange[] {
    const { terminal, clock } = this.#parts;
    const rules = this.#rules;
    if (!rules || !this.#loaded) return [];
    const shared = changes.filter(({ key }) => sharers(key, terminal, rules).size > 1);
    const { number: heard = 0, server = '' } = this.#heard ?? {};
    return shared.map((change) => this.#outbox.make(change, { atMs: clock.utcMs(), heard, server }));
  }

  /** These are on the disk: they are told. */
  durable(outgoing: readonly StateChange[]): void {
    if (outgoing.length === 0) return;
    for (const { key, holderId, value } of outgoing)
      if (value !== undefined) this.#outbox.load({ key, value, ...(holderId !== undefined && { holderId }) });
    this.#soon(gatherMs);
  }

  /** Takes what the server has joined. Rejects with `policy-altered` while nobody can be believed. */
  async received(payload: Uint8Array): Promise<void> {
    const { terminal, log } = this.#parts;
    const read = decodeSigned(payload);
    if (read.kind === 'refused') return log.warn({ reason: read.reason }, 'facts of the group were refused');
    const root = this.#link?.root();
    if (!root) return;
    const checked = checkGroupFacts(read.value, { root, terminal });
    if (checked.kind === 'refused') {
      return log.warn({ reason: checked.reason }, 'facts of the group were refused');
    }
    this.#applying = this.#applying
      .then(() => this.#apply(checked.value))
      .catch((error: unknown) => {
        log.error({ err: error }, 'facts of the group could not be taken');
      });
  }

  #soon(ms: number): void {
    if (!this.#connected || this.#stopped) return;
    this.#next?.();
    this.#next = this.#parts.clock.after(ms, () => {
      this.#report().catch((error: unknown) => {
        this.#parts.log.error({ err: error }, 'the group could not be told');
      });
    });
  }

  async #report(): Promise<void> {
    const head = this.#parts.journal.head();
    if (!this.#connected || this.#stopped || !head || !this.#link || !this.#loaded) return;
    // known to nobody before: no answer to another report, of this run or an earlier one, is taken for one to this
    const ask = Number.parseInt(toHex(this.#link.entropy.bytes(askBytes)), 16);
    const changes = this.#outbox.take(ask, {
      nowUs: this.#parts.clock.monotonicUs(),
      server: this.#heard?.server ?? '',
    });
    const payload = groupReportBytes({
      incarnation: head.incarnation,
      ask,
      ...(this.#heard && { heard: this.#heard }),
      changes: [...changes],
    });
    // what is not answered is told again
    this.#soon(askEveryMs);
    await this.#link.publish({ kind: 'group', payload });
  }

  async #apply(told: GroupFacts): Promise<void> {
    if (this.#stopped) return;
    const { clock } = this.#parts;
    const { answers, from, upTo, more } = told;
    const awaited = answers && this.#outbox.awaits(answers.ask);
    const mine = awaited && answers.incarnation === this.#parts.journal.head()?.incarnation;
    const known = this.#heard;
    const follows = known !== undefined && upTo.server === known.server && upTo.scope === known.scope;
    // something between was lost, or whoever carries it says again what held by another count: it is asked for
    if (follows ? from > known.number : from > 0 || !mine) return this.#soon(0);
    if (!follows || this.#untold) await this.#tellAll();
    if (!follows || upTo.number > known.number) await this.#take(told);
    if (mine && this.#outbox.answered(answers.ask)) {
      await this.#clear();
      if (!more) this.#answeredUs = clock.monotonicUs();
      if (this.#telling && !this.#untold && this.#outbox.hasToldAll()) await this.#toldAll();
    }
    if (more || this.#outbox.hasUnsent()) this.#soon(0);
  }

  /** Makes facts of the others, as they are joined with those of this terminal, its own. */
  async #take({ facts, upTo }: GroupFacts): Promise<void> {
    const { journal, memory } = this.#parts;
    for (;;) {
      const changes = facts.flatMap((fact) => this.#changeOf(fact));
      const view = memory.view({ holderId: undefined, facts: new Map(), asked: memory.asked() });
      const unsettled = view?.unsettled(changes);
      if (unsettled) {
        await unsettled;
        continue;
      }
      if (changes.length > 0) {
        const kept = memory.join([
          ...changes,
          ...(this.#telling || this.#untold ? [] : [this.#cursor(upTo)]),
        ]);
        const body = { event: 'group-heard', facts: changes.length, number: upTo.number };
        await journal.decided({ kind: 'terminal', body, facts: kept });
      }
      this.#heard = upTo;
      return;
    }
  }

  #changeOf(fact: GroupFacts['facts'][number]): readonly StateChange[] {
    const { key, holder, value, own } = fact;
    const about = { key, ...(holder !== undefined && { holderId: holder }) };
    const waits = this.#outbox.waiting(nameOf(about));
    const has = own && own.incarnation === this.#parts.journal.head()?.incarnation ? own.n : 0;
    // what the server does not know yet comes back joined
    if (waits && waits.n > has) return [];
    if (waits && isSame(waits.value, value)) return [];
    if (holder === undefined && isSame(this.#parts.memory.shared(key), value)) return [];
    return [value === undefined ? about : { ...about, value }];
  }

  #cursor(heard: GroupCursor): StateChange {
    return { key: heardKey, value: { ...heard, n: this.#outbox.last(), shared: this.#shared } };
  }

  /** Forgets what the server has, now and then, or with what is taken. */
  async #clear(): Promise<void> {
    if (!this.#heard || this.#telling || this.#untold) return;
    const { journal, memory, clock } = this.#parts;
    const cleared = this.#outbox.cleared();
    const nowUs = clock.monotonicUs();
    const due = nowUs - this.#clearedUs > clearEveryMs * 1_000 || cleared.length >= clearedAtOnce;
    if (cleared.length === 0 || !due) return;
    const view = memory.view({ holderId: undefined, facts: new Map(), asked: memory.asked() });
    if (!view || view.unsettled(cleared)) return;
    this.#clearedUs = nowUs;
    const kept = memory.join([...cleared, this.#cursor(this.#heard)]);
    const body = { event: 'group-told', facts: cleared.length };
    await journal.decided({ kind: 'terminal', body, facts: kept });
    this.#outbox.forget(cleared);
  }

  /** The server does not have what it had, or the rules share other facts: everything is told anew. */
  async #tellAll(): Promise<void> {
    const { terminal, memory, holders, journal } = this.#parts;
    const rules = this.#rules;
    this.#telling = true;
    this.#untold = false;
    const numbered = memory.join([{ key: heardKey }, { key: numberKey, value: this.#outbox.last() }]);
    await journal.decided({ kind: 'terminal', body: { event: 'group-tells-all' }, facts: numbered });
    if (!rules) return;
    for await (const fact of pages(holders, '')) {
      if (sharers(fact.key, terminal, rules).size > 1) this.#outbox.again(fact);
    }
    this.#soon(0);
  }

  async #toldAll(): Promise<void> {
    this.#telling = false;
    if (!this.#heard) return;
    const kept = this.#parts.memory.join([this.#cursor(this.#heard)]);
    await this.#parts.journal.decided({ kind: 'terminal', body: { event: 'group-told-all' }, facts: kept });
  }
}

const pageSize = 1_000;

async function* pages(holders: Pick<HolderFacts, 'page'>, prefix: string): AsyncIterable<OwnedFact> {
  let after: FactQuery['after'];
  for (;;) {
    const page = await holders.page({ prefix, limit: pageSize, ...(after && { after }) });
    for (const { holderId, key, value } of page)
      yield { key, value, ...(holderId === '' ? {} : { holderId }) };
    const last = page.at(-1);
    if (!last || page.length < pageSize) return;
    after = last;
  }
}

function isSame(a: JsonValue | undefined, b: JsonValue | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return canonicalJson(a) === canonicalJson(b);
}
