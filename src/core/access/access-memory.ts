import type { JsonValue } from '#core/journal/record.ts';
import type { AccessState, Facts, StateChange } from './access-state.ts';
import { isRevocable, type Passage, rebased, takenBack, type Unused } from './fact-kinds.ts';
import { claim, type KeptFacts, nameOf, type OnTheWay } from './kept-facts.ts';
import { type Declaration, TerminalFacts } from './terminal-facts.ts';

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

/** How facts are shared with other terminals. */
export interface FactSharing {
  /** Whether what the others of `group` know cannot be counted on now. */
  apart(group: string): boolean;
  /** What is to become durable with `changes`, so that the others hear of them. */
  outgoing(changes: readonly StateChange[]): readonly StateChange[];
  /** These are on the disk. */
  durable(outgoing: readonly StateChange[]): void;
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
  readonly #sharing: FactSharing | undefined;
  readonly #shared: TerminalFacts;
  readonly #pending = new Map<string, OnTheWay>();
  /** latest first to be forgotten last; `undefined` values are facts forgotten */
  readonly #recent = new Map<string, { readonly value: JsonValue | undefined; readonly storedAt: number }>();
  /** by tap: what can still be taken back */
  readonly #passages = new Map<string, readonly Omit<Passage, 'now'>[]>();
  /** by tap: who waits for a second person */
  readonly #companions = new Map<string, FoundFacts>();
  /** how many times facts became durable */
  #stored = 0;
  /** a look-up asked for before this may have missed facts that are no longer kept here */
  #forgotten = 0;

  /** `sharedChanged` is called when facts that doors go by have changed, or facts were loaded from the disk */
  constructor(parts: {
    readonly terminal: string;
    readonly sharedChanged: () => void;
    /** absent where nothing joins this terminal with others */
    readonly sharing?: FactSharing;
  }) {
    this.#terminal = parts.terminal;
    this.#sharing = parts.sharing;
    this.#shared = new TerminalFacts({ changed: parts.sharedChanged });
  }

  /** Takes the facts about the terminal as a whole, as the disk has them; what was declared before then joins them. */
  load(shared: Facts): void {
    this.#shared.load(shared);
  }

  /** A fact about the terminal as a whole, as it is in force. */
  shared(key: string): JsonValue | undefined {
    return this.#shared.inForce(key);
  }

  /** The facts about the terminal as a whole whose keys begin with `prefix`, as the disk has them. */
  sharedUnder(prefix: string): readonly (readonly [key: string, value: JsonValue])[] {
    return this.#shared.under(prefix);
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
      const name = nameOf({ holderId, key });
      touched.add(name);
      return this.#holderFact(name, facts.get(key));
    };
    return {
      terminal: this.#terminal,
      apart: (group) => this.#sharing?.apart(group) ?? true,
      shared: (key) => {
        touched.add(key);
        return this.#shared.shared(key);
      },
      holder: (key) => factOf(found, key),
      companion: (tapId) => {
        const first = this.#companions.get(tapId);
        if (first?.holderId === undefined || first.asked < this.#forgotten) return undefined;
        return { holderId: first.holderId, fact: (key) => factOf(first, key) };
      },
      unsettled: (changes) => {
        const changed = changes.map(nameOf);
        for (const name of changed) touched.add(name);
        const waiting = [
          ...[...touched].flatMap((name) => this.#pending.get(name) ?? []),
          ...changed.flatMap((name) => this.#shared.declaring(name) ?? []),
        ];
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
    return this.#tell(changes, () => {
      if (passages.length > 0) this.#passages.set(tapId, passages);
      forgetFirst(this.#passages, passageLimit);
    });
  }

  /**
   * Takes facts as other terminals know them, which are told to nobody. To be called with nothing awaited since
   * {@link FactsView.unsettled} said that none of them is on its way.
   */
  join(changes: readonly StateChange[]): KeptFacts {
    return this.#hold(changes, () => undefined);
  }

  /**
   * Changes facts about the terminal as a whole at once: what an input demands waits for no disk. The entry that is
   * to make it durable is the caller's. `make` is asked again when facts are loaded meanwhile.
   */
  declare(make: Declaration): KeptFacts {
    const kept = this.#shared.declare(make);
    for (const { key } of kept.changes) this.#pending.get(key)?.overruled.add(key);
    return kept;
  }

  /** What stands though its entries were lost, as it is now; to be recorded with the entry that tells of the loss. */
  unrecorded(): KeptFacts {
    return this.#shared.unrecorded();
  }

  /**
   * What is as it was before `tapId`, whose grant went unused, for the entry that records this; a promise
   * where that can be said only when what others change is on the disk, or taken back.
   */
  notPassed(tapId: string, unused: Unused): KeptFacts | Promise<void> {
    const passages = this.#passages.get(tapId) ?? [];
    if (unused === 'not-opened') this.#shared.disobey(passages);
    const view = this.#viewOf({ holderId: undefined, facts: new Map(), asked: 0 });
    const now = ({ holderId, key }: StateChange): JsonValue | undefined =>
      // of a holder's fact no longer kept here, nobody knows whether another tap has changed it since
      holderId === undefined ? view.shared(key) : this.#recent.get(nameOf({ holderId, key }))?.value;
    const changes = takenBack(
      passages.map((passage) => ({ ...passage, now: now(passage.change) })),
      unused,
      view,
    );
    const unsettled = view.unsettled([...changes, ...passages.map(({ change }) => change)]);
    if (unsettled) return unsettled;
    this.#forgetPassages(tapId, unused);
    const kept = this.#tell(changes, () => undefined);
    const takeBack = (): void => {
      kept.takeBack();
      this.#shared.stands(changes.filter((change) => this.#shared.isDisobeyed(change)));
    };
    return { ...kept, takeBack };
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

  /** What a fact is before it changes: of the holder of this tap, of one who waits, or of the terminal as a whole. */
  #before({ holderId, key }: StateChange, found: FoundFacts): JsonValue | undefined {
    if (holderId === undefined) return this.#shared.shared(key);
    const waiting = [...this.#companions.values()];
    const of = found.holderId === holderId ? found : waiting.findLast((one) => one.holderId === holderId);
    return this.#holderFact(nameOf({ holderId, key }), of?.facts.get(key));
  }

  #holderFact(name: string, looked: JsonValue | undefined): JsonValue | undefined {
    const recent = this.#recent.get(name);
    return recent ? recent.value : looked;
  }

  /** As `#hold`, with what tells the others. */
  #tell(changes: readonly StateChange[], stored: () => void): KeptFacts {
    const outgoing = this.#sharing?.outgoing(changes) ?? [];
    return this.#hold([...changes, ...outgoing], () => {
      stored();
      this.#sharing?.durable(outgoing);
    });
  }

  #hold(changes: readonly StateChange[], stored: () => void): KeptFacts {
    const { claimed, end } = claim(this.#pending, changes);
    return {
      changes,
      durable: () => {
        this.#store(
          changes.filter(({ holderId, key }) => holderId !== undefined || !claimed.overruled.has(key)),
        );
        stored();
        end();
      },
      takeBack: end,
    };
  }

  #store(changes: readonly StateChange[]): void {
    if (changes.length > 0) this.#stored += 1;
    for (const { holderId, key, value } of changes) {
      if (holderId === undefined) continue;
      const name = nameOf({ holderId, key });
      this.#recent.delete(name);
      this.#recent.set(name, { value, storedAt: this.#stored });
    }
    for (const { storedAt } of forgetFirst(this.#recent, recentLimit)) this.#forgotten = storedAt;
    this.#shared.store(changes.filter(({ holderId }) => holderId === undefined));
  }
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
