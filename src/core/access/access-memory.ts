import type { JsonValue } from '#core/journal/record.ts';
import type { AccessState, Facts, StateChange } from './access-state.ts';
import { isRevocable, type Passage, rebased, takenBack, type Unused } from './fact-kinds.ts';

/** Facts of a holder as a look-up found them. `asked` is what `AccessMemory.asked` said before the look-up began. */
export interface FoundFacts {
  readonly holderId: string | undefined;
  readonly facts: Facts;
  readonly asked: number;
}

/** The facts for one decision. */
export interface FactsView extends AccessState {
  /**
   * Settles when all that the decision read, or would change, is as the disk has it; undefined where it is. A decision
   * made before then counts for nothing: what it rests on may never become durable.
   */
  unsettled(changes: readonly StateChange[]): Promise<void> | undefined;
}

/** Changes on their way to the disk; whoever has them recorded says what came of it. */
export interface KeptFacts {
  readonly changes: readonly StateChange[];
  durable(): void;
  /** The disk will not take them. What took effect at once stands all the same, until `unrecorded` tells of it. */
  takeBack(): void;
}

/** Facts about the terminal as a whole. */
export type SharedFacts = Pick<AccessState, 'shared'>;

/** A change that took effect at once, until it is on the disk. */
interface Declared {
  readonly make: (state: SharedFacts) => readonly StateChange[];
  changes: readonly StateChange[];
}

interface Pending {
  readonly settled: Promise<void>;
}

/** facts kept in memory although the disk has them: a look-up begun earlier may not have seen them there */
const recentLimit = 1_000;
/** taps that a second person can still complete */
const companionLimit = 100;
/** taps whose changes can still be taken back because nobody went through the door */
const passageLimit = 100;

/**
 * What the access rules remember, as of now: facts looked up on the disk, and over them those that became durable
 * since that look-up began. Decisions at different readers follow one another: one that touches a fact which is on its
 * way to the disk waits until it is there, or is taken back. Bounded, however many holders there are.
 */
export class AccessMemory {
  readonly #terminal: string;
  readonly #sharedChanged: () => void;
  readonly #shared = new Map<string, JsonValue>();
  readonly #pending = new Map<string, Pending>();
  /** latest first to be forgotten last; `undefined` values are facts forgotten */
  readonly #recent = new Map<string, { readonly value: JsonValue | undefined; readonly storedAt: number }>();
  /** by tap: what can still be taken back */
  readonly #passages = new Map<string, readonly Omit<Passage, 'now'>[]>();
  /** by tap: who waits for a second person */
  readonly #companions = new Map<string, FoundFacts>();
  readonly #declared = new Set<Declared>();
  /** keys of facts about the terminal as a whole that stand though the disk never took their entries */
  readonly #unrecorded = new Set<string>();
  /** facts about the terminal as a whole as they are in force while the disk still has what no door obeyed */
  readonly #disobeyed = new Map<string, JsonValue | undefined>();
  /** how many times facts became durable */
  #stored = 0;
  /** a look-up asked for before this may have missed facts that are no longer kept here */
  #forgotten = 0;

  /** `sharedChanged` is called when facts about the terminal as a whole are on the disk, or were loaded from it */
  constructor(parts: { readonly terminal: string; readonly sharedChanged: () => void }) {
    this.#terminal = parts.terminal;
    this.#sharedChanged = parts.sharedChanged;
  }

  /** Takes the facts about the terminal as a whole, as the disk has them; what was declared before then joins them. */
  load(shared: Facts): void {
    this.#shared.clear();
    for (const [key, value] of shared) this.#shared.set(key, value);
    for (const declared of this.#declared) {
      declared.changes = declared.make(this);
      for (const change of declared.changes) this.#setShared(change);
    }
    this.#sharedChanged();
  }

  /** A fact about the terminal as a whole, as it is in force. */
  shared(key: string): JsonValue | undefined {
    return this.#disobeyed.has(key) ? this.#disobeyed.get(key) : this.#shared.get(key);
  }

  /** The facts about the terminal as a whole whose keys begin with `prefix`, as the disk has them. */
  sharedUnder(prefix: string): readonly (readonly [key: string, value: JsonValue])[] {
    return [...this.#shared].filter(([key]) => key.startsWith(prefix));
  }

  /** A mark to take just before a look-up begins. */
  asked(): number {
    return this.#stored;
  }

  /** The facts for a decision; undefined where the look-up is so old that it has to be made anew. */
  view(found: FoundFacts): FactsView | undefined {
    return found.asked < this.#forgotten ? undefined : this.#viewOf(found);
  }

  #viewOf(found: FoundFacts): FactsView {
    const touched = new Set<string>();
    const factOf = ({ holderId, facts }: FoundFacts, key: string): JsonValue | undefined => {
      if (holderId === undefined) return undefined;
      const name = nameOf(holderId, key);
      touched.add(name);
      return this.#holderFact(name, facts.get(key));
    };
    return {
      terminal: this.#terminal,
      // nothing joins terminals yet
      apart: () => true,
      shared: (key) => {
        touched.add(nameOf(undefined, key));
        return this.#shared.get(key);
      },
      holder: (key) => factOf(found, key),
      companion: (tapId) => {
        const first = this.#companions.get(tapId);
        if (first?.holderId === undefined || first.asked < this.#forgotten) return undefined;
        return { holderId: first.holderId, fact: (key) => factOf(first, key) };
      },
      unsettled: (changes) => {
        for (const change of changes) touched.add(nameOf(change.holderId, change.key));
        const waiting = [...touched].flatMap((name) => this.#pending.get(name) ?? []);
        if (waiting.length === 0) return undefined;
        return Promise.all(waiting.map(({ settled }) => settled)).then(() => undefined);
      },
    };
  }

  /** Keeps who taps at `tapId`, and waits for a second person. */
  waits(tapId: string, found: FoundFacts): void {
    this.#companions.set(tapId, found);
    forgetFirst(this.#companions, companionLimit);
  }

  /**
   * Keeps what a tap changes until the disk has it. To be called with nothing awaited since `view`, whose facts the
   * decision was made on.
   */
  keep(tapId: string, changes: readonly StateChange[], found: FoundFacts): KeptFacts {
    const passages = changes
      .filter(isRevocable)
      .map((change) => ({ change, before: this.#before(change, found) }));
    return this.#hold(changes, () => {
      if (passages.length > 0) this.#passages.set(tapId, passages);
      forgetFirst(this.#passages, passageLimit);
    });
  }

  /**
   * Changes facts about the terminal as a whole at once: what an input demands waits for no disk. The entry that is
   * to make it durable is the caller's. `make` is asked again when facts are loaded meanwhile.
   */
  declare(make: Declared['make']): KeptFacts {
    const declared: Declared = { make, changes: make(this) };
    this.#declared.add(declared);
    this.#store(declared.changes);
    return {
      get changes() {
        return declared.changes;
      },
      durable: () => this.#declared.delete(declared),
      takeBack: () => this.#stands(declared.changes),
    };
  }

  /** What stands though its entries were lost, as it is now; to be recorded with the entry that tells of the loss. */
  unrecorded(): KeptFacts {
    const keys = [...this.#unrecorded];
    const changes = keys.map((key) => {
      const value = this.shared(key);
      return value === undefined ? { key } : { key, value };
    });
    const durable = (): void => {
      for (const change of changes) if (this.#disobeyed.has(change.key)) this.#setShared(change);
      for (const key of keys) this.#unrecorded.delete(key);
      for (const declared of this.#declared)
        if (declared.changes.every(({ key }) => keys.includes(key))) this.#declared.delete(declared);
    };
    return { changes, durable, takeBack: () => undefined };
  }

  /**
   * What is as it was before `tapId`, whose grant went unused, for the entry that records this; a promise
   * where that can be said only when what others change is on the disk, or taken back.
   */
  notPassed(tapId: string, unused: Unused): KeptFacts | Promise<void> {
    const passages = this.#passages.get(tapId) ?? [];
    if (unused === 'not-opened') this.#disobey(passages);
    const view = this.#viewOf({ holderId: undefined, facts: new Map(), asked: 0 });
    const now = ({ holderId, key }: StateChange): JsonValue | undefined =>
      // of a holder's fact no longer kept here, nobody knows whether another tap has changed it since
      holderId === undefined ? view.shared(key) : this.#recent.get(nameOf(holderId, key))?.value;
    const changes = takenBack(
      passages.map((passage) => ({ ...passage, now: now(passage.change) })),
      unused,
      view,
    );
    const unsettled = view.unsettled([...changes, ...passages.map(({ change }) => change)]);
    if (unsettled) return unsettled;
    this.#forgetPassages(tapId, unused);
    const kept = this.#hold(changes, () => undefined);
    const takeBack = (): void => {
      kept.takeBack();
      this.#stands(changes.filter(({ key }) => this.#disobeyed.has(key)));
    };
    return { ...kept, takeBack };
  }

  /** What a tap began that no door obeyed is in force no more, though the disk still has it: nothing stays open for a disk. */
  #disobey(passages: readonly Omit<Passage, 'now'>[]): void {
    const begun = passages.filter(({ change: { key, holderId, value, ifObeyed } }) => {
      const shared = ifObeyed && holderId === undefined && value !== undefined;
      return shared && this.#shared.get(key) === value;
    });
    for (const { change, before } of begun) this.#disobeyed.set(change.key, before);
    if (begun.length > 0) this.#sharedChanged();
  }

  /** Later grants rested on this one, which is none any more; what the door obeyed may turn out not to hold either. */
  #forgetPassages(tapId: string, unused: Unused): void {
    const undone = this.#passages.get(tapId) ?? [];
    this.#passages.delete(tapId);
    for (const [later, passages] of this.#passages) {
      this.#passages.set(
        later,
        passages.map((passage) => undone.reduce(rebased, passage)),
      );
    }
    const left = undone.filter(({ change }) => unused === 'not-passed' && !change.ifPassed);
    if (left.length > 0) this.#passages.set(tapId, left);
  }

  #stands(changes: readonly StateChange[]): void {
    for (const { key } of changes) this.#unrecorded.add(key);
  }

  /** What a fact is before it changes: of the holder of this tap, of one who waits, or of the terminal as a whole. */
  #before({ holderId, key }: StateChange, found: FoundFacts): JsonValue | undefined {
    if (holderId === undefined) return this.#shared.get(key);
    const waiting = [...this.#companions.values()];
    const of = found.holderId === holderId ? found : waiting.findLast((one) => one.holderId === holderId);
    return this.#holderFact(nameOf(holderId, key), of?.facts.get(key));
  }

  #holderFact(name: string, looked: JsonValue | undefined): JsonValue | undefined {
    const recent = this.#recent.get(name);
    return recent ? recent.value : looked;
  }

  #hold(changes: readonly StateChange[], stored: () => void): KeptFacts {
    let settle = (): void => undefined;
    const pending: Pending = {
      settled: new Promise((resolve) => {
        settle = resolve;
      }),
    };
    const names = changes.map(({ holderId, key }) => nameOf(holderId, key));
    for (const name of names) this.#pending.set(name, pending);
    const end = (): void => {
      for (const name of names) if (this.#pending.get(name) === pending) this.#pending.delete(name);
      settle();
    };
    return {
      changes,
      durable: () => {
        this.#store(changes);
        stored();
        end();
      },
      takeBack: end,
    };
  }

  #store(changes: readonly StateChange[]): void {
    if (changes.length > 0) this.#stored += 1;
    for (const { holderId, key, value } of changes) {
      if (holderId === undefined) {
        this.#setShared({ key, value });
        continue;
      }
      const name = nameOf(holderId, key);
      this.#recent.delete(name);
      this.#recent.set(name, { value, storedAt: this.#stored });
    }
    for (const { storedAt } of forgetFirst(this.#recent, recentLimit)) this.#forgotten = storedAt;
    if (changes.some(({ holderId }) => holderId === undefined)) this.#sharedChanged();
  }

  #setShared({ key, value }: { readonly key: string; readonly value?: JsonValue | undefined }): void {
    this.#disobeyed.delete(key);
    if (value === undefined) this.#shared.delete(key);
    else this.#shared.set(key, value);
  }
}

function nameOf(holderId: string | undefined, key: string): string {
  return holderId === undefined ? key : `${key}\0${holderId}`;
}

/** Forgets the oldest entries beyond `limit` and tells them. */
function forgetFirst<T>(entries: Map<string, T>, limit: number): readonly T[] {
  const forgotten: T[] = [];
  for (const [name, entry] of entries) {
    if (entries.size <= limit) break;
    entries.delete(name);
    forgotten.push(entry);
  }
  return forgotten;
}
