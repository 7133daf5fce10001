import { z } from 'zod';
import { factOf, type StateChange } from '#core/access/access-state.ts';
import { nameOf } from '#core/access/kept-facts.ts';
import type { JsonValue } from '#core/journal/record.ts';
import { factsAtOnce, type GroupChange } from '#core/sync/group-message.ts';
import { maxPayloadBytes } from '#core/sync/topics.ts';

/** A change of a fact that the server may not have yet, as it stands on the disk beside the fact. */
const json: z.ZodType<JsonValue> = z.json();
const outgoingSchema = z.strictObject({
  n: z.int().min(1),
  atMs: z.number(),
  /** up to where the others were known then, by the count of which server */
  heard: z.number(),
  server: z.string(),
  value: json.exactOptional(),
});
const prefix = 'out/';
/** a report without an answer for this long may be lost: what it told is told again */
const lostAfterUs = 5_000_000;
/** of the changes in one report: what is around them fits beside */
const mostBytes = maxPayloadBytes - 4_096;

/** A fact; without a holder about the terminals as a whole. */
export interface OwnedFact {
  readonly key: string;
  readonly holderId?: string;
  readonly value: JsonValue;
}

/** A report that is under way. */
interface Asked {
  readonly atUs: number;
  readonly told: readonly (readonly [name: string, n: number])[];
}

interface Waiting extends GroupChange {
  /** whether it stands on the disk, too */
  readonly kept: boolean;
  /** whose count `heard` is of */
  readonly server: string;
}

/** What this terminal has to tell of facts that it shares, the last change of each. */
export class GroupOutbox {
  /** by the name of the fact */
  readonly #waiting = new Map<string, Waiting>();
  /** names of those that are in no report that is under way: changes, and what is told anew, for which none of them waits */
  readonly #unsent = { changes: new Set<string>(), anew: new Set<string>() };
  readonly #asked = new Map<number, Asked>();
  /** those on the disk that the server has */
  readonly #cleared = new Map<string, GroupChange>();
  /** how many that wait are told anew */
  #anew = 0;
  #n = 0;

  /** Numbers up to `n` are taken. */
  reached(n: number): void {
    this.#n = Math.max(this.#n, n);
  }

  last(): number {
    return this.#n;
  }

  /** The fact that is to become durable with `change`. */
  make(
    { key, holderId, value }: StateChange,
    at: { readonly atMs: number; readonly heard: number; readonly server: string },
  ): StateChange {
    this.#n += 1;
    const outgoing = { n: this.#n, ...at, ...(value !== undefined && { value }) };
    return { key: `${prefix}${key}`, ...(holderId !== undefined && { holderId }), value: outgoing };
  }

  /** Takes a fact that `make` made, which is on the disk. */
  load({ key: stored, holderId, value }: OwnedFact): void {
    const made = factOf(outgoingSchema, stored, value);
    if (!made) return;
    const { value: changed, ...at } = made;
    this.reached(at.n);
    this.#put({
      key: stored.slice(prefix.length),
      ...at,
      ...(holderId !== undefined && { holder: holderId }),
      ...(changed !== undefined && { value: changed }),
      kept: true,
    });
  }

  /** Has a fact told that may have been told before. It is no change: it does not outrank one. */
  again({ key, holderId, value }: OwnedFact): void {
    if (this.#waiting.has(nameOf({ key, ...(holderId !== undefined && { holderId }) }))) return;
    const about = { key, ...(holderId !== undefined && { holder: holderId }) };
    this.#put({ ...about, value, n: Math.max(this.#n, 1), atMs: 0, heard: 0, server: '', kept: false });
  }

  #put(change: Waiting): void {
    const name = nameOfChange(change);
    const known = this.#waiting.get(name);
    if (known && known.n >= change.n && known.kept) return;
    this.#anew += (change.kept ? 0 : 1) - (known?.kept === false ? 1 : 0);
    this.#waiting.set(name, change);
    this.#unsent.anew.delete(name);
    this.#send(name, change);
    this.#cleared.delete(name);
  }

  #send(name: string, { kept }: Waiting): void {
    this.#unsent[kept ? 'changes' : 'anew'].add(name);
  }

  waiting(name: string): GroupChange | undefined {
    return this.#waiting.get(name);
  }

  /**
   * Changes for the report `ask`, as many as fit one message, those first that wait longest and what is told anew after
   * them; those of reports that were lost again. What is larger than a message goes alone.
   */
  take(ask: number, { nowUs, server }: { nowUs: number; server: string }): readonly GroupChange[] {
    for (const [before, { atUs, told }] of this.#asked) {
      if (nowUs - atUs < lostAfterUs) continue;
      this.#asked.delete(before);
      for (const [name] of told) {
        const waiting = this.#waiting.get(name);
        if (waiting) this.#send(name, waiting);
      }
    }
    const taken: GroupChange[] = [];
    const told: [name: string, n: number][] = [];
    let bytes = 0;
    for (const name of this.#next()) {
      const waiting = this.#waiting.get(name);
      if (!waiting) continue;
      const { kept: _, server: of, ...change } = waiting;
      // the count of a server that has forgotten something says nothing to it
      if (of !== server) change.heard = 0;
      bytes += Buffer.byteLength(JSON.stringify(change)) + 1;
      if (taken.length === factsAtOnce || (bytes > mostBytes && taken.length > 0)) break;
      taken.push(change);
      told.push([name, change.n]);
      this.#sent(name);
    }
    this.#asked.set(ask, { atUs: nowUs, told });
    return taken;
  }

  *#next(): Iterable<string> {
    yield* this.#unsent.changes;
    yield* this.#unsent.anew;
  }

  #sent(name: string): void {
    this.#unsent.changes.delete(name);
    this.#unsent.anew.delete(name);
  }

  /** Whether the report `ask` is under way. */
  awaits(ask: number): boolean {
    return this.#asked.has(ask);
  }

  /** The server has what the report `ask` told. Whether that is known. */
  answered(ask: number): boolean {
    const asked = this.#asked.get(ask);
    if (!asked) return false;
    this.#asked.delete(ask);
    for (const [name, n] of asked.told) {
      const change = this.#waiting.get(name);
      if (change?.n !== n) continue;
      this.#waiting.delete(name);
      this.#sent(name);
      if (change.kept) this.#cleared.set(name, change);
      else this.#anew -= 1;
    }
    return true;
  }

  /** What was under way may not have arrived. */
  lost(): void {
    this.#asked.clear();
    for (const [name, waiting] of this.#waiting) this.#send(name, waiting);
  }

  /** Whether what is told anew is told. */
  hasToldAll(): boolean {
    return this.#anew === 0;
  }

  hasUnsent(): boolean {
    return this.#unsent.changes.size + this.#unsent.anew.size > 0;
  }

  /** What forgets on the disk those that the server has. */
  cleared(): readonly StateChange[] {
    return [...this.#cleared.values()].map(({ key, holder }) => ({
      key: `${prefix}${key}`,
      ...(holder !== undefined && { holderId: holder }),
    }));
  }

  forget(cleared: readonly StateChange[]): void {
    for (const { key, holderId } of cleared) {
      const about = { key: key.slice(prefix.length), ...(holderId !== undefined && { holderId }) };
      this.#cleared.delete(nameOf(about));
    }
  }
}

function nameOfChange({ key, holder }: GroupChange): string {
  return nameOf({ key, ...(holder !== undefined && { holderId: holder }) });
}
