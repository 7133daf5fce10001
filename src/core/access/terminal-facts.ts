import type { JsonValue } from '#core/journal/record.ts';
import type { AccessState, Facts, StateChange } from './access-state.ts';
import { bearsOnDoors } from './door-mode.ts';
import type { Passage } from './fact-kinds.ts';
import { claim, type KeptFacts, type OnTheWay } from './kept-facts.ts';

/** Facts about the terminal as a whole. */
export type SharedFacts = Pick<AccessState, 'shared'>;

/** Makes a change that takes effect at once; asked again when facts are loaded meanwhile. */
export type Declaration = (state: SharedFacts) => readonly StateChange[];

/** A change that took effect at once, until it is on the disk. */
interface Declared {
  readonly make: Declaration;
  changes: readonly StateChange[];
}

/**
 * The facts about the terminal as a whole: as the disk has them, and over those what is in force before the disk says
 * so, because it was declared, or because no door obeyed what the disk still has.
 */
export class TerminalFacts implements SharedFacts {
  readonly #changed: () => void;
  readonly #facts = new Map<string, JsonValue>();
  readonly #declared = new Set<Declared>();
  readonly #declaring = new Map<string, OnTheWay>();
  /** keys of facts that stand though the disk never took their entries */
  readonly #unrecorded = new Set<string>();
  readonly #disobeyed = new Map<string, JsonValue | undefined>();

  /** `changed` is called when any that doors go by may have changed, and when they are loaded */
  constructor({ changed }: { readonly changed: () => void }) {
    this.#changed = changed;
  }

  /** Takes the facts as the disk has them; what was declared before then joins them. */
  load(facts: Facts): void {
    this.#facts.clear();
    for (const [key, value] of facts) this.#facts.set(key, value);
    for (const declared of this.#declared) {
      declared.changes = declared.make(this);
      for (const change of declared.changes) this.#set(change);
    }
    this.#changed();
  }

  /** A fact as decisions go by it. */
  shared(key: string): JsonValue | undefined {
    return this.#facts.get(key);
  }

  /** A fact as doors go by it: what none obeyed is not in force. */
  inForce(key: string): JsonValue | undefined {
    return this.#disobeyed.has(key) ? this.#disobeyed.get(key) : this.#facts.get(key);
  }

  under(prefix: string): readonly (readonly [key: string, value: JsonValue])[] {
    return [...this.#facts].filter(([key]) => key.startsWith(prefix));
  }

  /** The disk has these changes now. */
  store(changes: readonly StateChange[]): void {
    for (const change of changes) this.#set(change);
    if (changes.some(({ key }) => bearsOnDoors(key))) this.#changed();
  }

  /** Changes facts at once. The entry that is to make them durable is the caller's. */
  declare(make: Declaration): KeptFacts {
    const declared: Declared = { make, changes: make(this) };
    this.#declared.add(declared);
    const { end } = claim(this.#declaring, declared.changes);
    this.store(declared.changes);
    return {
      get changes() {
        return declared.changes;
      },
      durable: () => {
        this.#declared.delete(declared);
        end();
      },
      takeBack: () => {
        this.stands(declared.changes);
        end();
      },
    };
  }

  /** What declares the fact `key` and is on its way to the disk, where nothing is to change it before. */
  declaring(key: string): OnTheWay | undefined {
    return this.#declaring.get(key);
  }

  /** The disk did not take these changes, and those that are in force stay so all the same. */
  stands(changes: readonly StateChange[]): void {
    for (const { key } of changes) this.#unrecorded.add(key);
  }

  /** What stands though its entries were lost, as it is now; to be recorded with the entry that tells of the loss. */
  unrecorded(): KeptFacts {
    const keys = [...this.#unrecorded];
    const changes = keys.map((key) => {
      const value = this.inForce(key);
      return value === undefined ? { key } : { key, value };
    });
    const durable = (): void => {
      for (const change of changes) if (this.#disobeyed.has(change.key)) this.#set(change);
      for (const key of keys) this.#unrecorded.delete(key);
      for (const declared of this.#declared)
        if (declared.changes.every(({ key }) => keys.includes(key))) this.#declared.delete(declared);
    };
    return { changes, durable, takeBack: () => undefined };
  }

  /** What these began is in force no more, though the disk still has it: nothing stays open for a disk. */
  disobey(passages: readonly Omit<Passage, 'now'>[]): void {
    const begun = passages.filter(({ change: { key, holderId, value, ifObeyed } }) => {
      const shared = ifObeyed && holderId === undefined && value !== undefined;
      return shared && this.#facts.get(key) === value;
    });
    for (const { change, before } of begun) this.#disobeyed.set(change.key, before);
    if (begun.length > 0) this.#changed();
  }

  isDisobeyed({ key }: StateChange): boolean {
    return this.#disobeyed.has(key);
  }

  #set({ key, value }: StateChange): void {
    this.#disobeyed.delete(key);
    if (value === undefined) this.#facts.delete(key);
    else this.#facts.set(key, value);
  }
}
