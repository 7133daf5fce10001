import { toHex } from '#core/bytes/bytes.ts';
import { type DevicePublicKey, isSignedBy } from '#core/crypto/device-signature.ts';
import { parseCheckpoint, type StoredCheckpoint } from './checkpoint.ts';
import { type JournalEntry, noPrevious, personalHash, type StoredEntry } from './entry.ts';
import type { ForgottenHead } from './forgetting.ts';
import type { ChainReport, FindingKind, Findings, VouchedSegment } from './verify-report.ts';

/** A key to check signatures with; `given` from outside, or merely found in the journal itself. */
export interface VerifyKey {
  readonly publicKey: DevicePublicKey;
  readonly given: boolean;
}

/** entries that a burst may write while a checkpoint is being signed, and a crash then leave unsigned */
const signingLag = 1_000;

/** A head kept outside the device: printed, exported or held by a server. */
export interface OutsideHead {
  readonly incarnation?: string;
  readonly sequence: number;
  /** upper-case hexadecimal */
  readonly hash: string;
}

/** A head kept outside and what the walks found of it. */
export interface HeadCheck {
  readonly head: OutsideHead;
  matched: boolean;
  /** incarnation in which the entry it names has another hash */
  contradictedIn?: string;
}

type OpenSegment = { -readonly [K in keyof VouchedSegment]: VouchedSegment[K] };

/** The chain of one incarnation as it is walked, entry by entry, in the order stored. */
export class ChainWalk {
  readonly terminal: string;
  readonly incarnation: string;
  /** personal values that are gone, to be weighed against the erasures recorded */
  readonly missingPersonal: [number, number][] = [];
  readonly #findings: Findings;
  readonly #keys: ReadonlyMap<string, VerifyKey>;
  readonly #heads: readonly HeadCheck[];
  #segments: OpenSegment[] = [];
  #expected = 1;
  #last = { sequence: 0, hash: noPrevious };
  /** what the next entry may name as its previous: the stored hash, and after a change the computed one too */
  #previous: string[] = [noPrevious];
  #checkpointAt = 0;
  /** last entry whose personal values are all there */
  #lastKept = 0;
  /** through where the journal has let go of its entries */
  readonly #forgotten: number;

  constructor(
    entry: { readonly terminal: string; readonly incarnation: string },
    parts: { findings: Findings; keys: ReadonlyMap<string, VerifyKey>; heads: readonly HeadCheck[] },
    forgotten?: ForgottenHead,
  ) {
    this.terminal = entry.terminal;
    this.incarnation = entry.incarnation;
    this.#findings = parts.findings;
    this.#keys = parts.keys;
    this.#heads = parts.heads.filter(
      ({ head }) => head.incarnation === undefined || head.incarnation === entry.incarnation,
    );
    this.#forgotten = forgotten?.sequence ?? 0;
    if (forgotten) this.#beginBehind(forgotten);
  }

  #beginBehind({ sequence, hash }: ForgottenHead): void {
    this.#expected = sequence + 1;
    this.#last = { sequence, hash };
    this.#previous = [hash];
    this.#checkpointAt = sequence;
    this.#compareHeads(sequence, hash, undefined);
    // nothing can be said of these here any more
    for (const check of this.#heads) if (check.head.sequence < sequence) check.matched = true;
  }

  /** Takes the next entry stored; `entry` is what its bytes say (undefined: nothing), `computed` their SHA-256. */
  takeEntry(stored: StoredEntry, entry: JournalEntry | undefined, computed: string): void {
    const hash = toHex(stored.hash);
    if (computed !== hash || !entry) {
      this.#takeDamaged(computed, hash);
      return;
    }
    const { sequence } = entry;
    if (sequence < this.#expected) {
      this.#find('entry-misplaced', sequence, sequence, `entry ${sequence} stands again or too late`);
      return;
    }
    if (sequence > this.#expected) {
      const to = sequence - 1;
      this.#find('entries-missing', this.#expected, to, `${named(this.#expected, to)} missing`);
      this.#startSegment(sequence);
    } else if (!this.#previous.includes(entry.previous)) {
      const from = Math.max(1, sequence - 1);
      const text =
        sequence === 1
          ? 'entry 1 names an entry before it'
          : `entry ${sequence} was not chained to this entry ${from}`;
      this.#find('chain-broken', from, sequence, text);
      this.#startSegment(sequence);
    }
    this.#advance(sequence, hash, [hash]);
    this.#checkPersonal(stored, entry);
  }

  /** Takes a checkpoint stored behind the entry it signs. */
  takeCheckpoint(stored: StoredCheckpoint): void {
    const checkpoint = parseCheckpoint(stored.raw);
    const at = checkpoint?.sequence ?? this.#last.sequence;
    if (!checkpoint) {
      this.#find('checkpoint-malformed', at, at, `the checkpoint behind entry ${at} cannot be read`);
      return;
    }
    const key = this.#keys.get(checkpoint.keyId);
    if (!key) {
      this.#find(
        'checkpoint-key-unknown',
        at,
        at,
        `checkpoint at entry ${at}: key ${checkpoint.keyId} is not known`,
      );
    } else if (!isSignedBy(key.publicKey, stored.raw, stored.signature)) {
      this.#find('checkpoint-signature-wrong', at, at, `checkpoint at entry ${at}: the signature is wrong`);
    } else if (checkpoint.sequence > this.#last.sequence) {
      const from = this.#last.sequence + 1;
      this.#find('end-missing', from, at, `a checkpoint signs entry ${at}; ${named(from, at)} missing`);
    } else if (checkpoint.sequence < this.#last.sequence || checkpoint.hash !== this.#last.hash) {
      this.#find(
        'checkpoint-contradicts',
        at,
        at,
        `the signed checkpoint at entry ${at} names another entry`,
      );
    } else {
      this.#checkpointAt = at;
      const segment = this.#segments.at(-1);
      if (segment) segment[key.given ? 'signedThrough' : 'selfSignedThrough'] = at;
    }
  }

  lastSequence(): number {
    return this.#last.sequence;
  }

  /** Ends the walk: looks for a tail that no checkpoint signs. */
  finish(checkpointEveryEntries: number): ChainReport {
    const { sequence, hash } = this.#last;
    if (sequence - this.#checkpointAt > checkpointEveryEntries + signingLag) {
      const from = this.#checkpointAt + 1;
      const text = `${named(from, sequence)} not signed, though a checkpoint is due every ${checkpointEveryEntries}`;
      this.#find('checkpoint-missing', from, sequence, text);
    }
    const { terminal, incarnation } = this;
    const forgottenThrough = this.#forgotten;
    const chain = { terminal, incarnation, lastSequence: sequence, lastHash: hash, segments: this.#segments };
    return forgottenThrough > 0 ? { ...chain, forgottenThrough } : chain;
  }

  /** An entry whose bytes cannot be trusted counts as the one expected here; its neighbours stay linked around it. */
  #takeDamaged(computed: string, hash: string): void {
    const at = this.#expected;
    if (computed !== hash)
      this.#find('entry-changed', at, at, `entry ${at} does not have the hash stored with it`);
    else this.#find('entry-malformed', at, at, `entry ${at} cannot be read`);
    this.#startSegment(at + 1);
    this.#advance(at, hash, [hash, computed]);
  }

  #advance(sequence: number, hash: string, previous: string[]): void {
    this.#expected = sequence + 1;
    this.#last = { sequence, hash };
    this.#previous = previous;
    const segment = this.#segments.at(-1);
    if (!segment) this.#startSegment(sequence);
    const open = this.#segments.at(-1);
    if (open && sequence >= open.fromSequence) open.toSequence = sequence;
    this.#compareHeads(sequence, hash, open);
  }

  #compareHeads(sequence: number, hash: string, segment: OpenSegment | undefined): void {
    for (const check of this.#heads) {
      if (check.head.sequence !== sequence) continue;
      if (check.head.hash !== hash) {
        check.contradictedIn = this.incarnation;
      } else {
        check.matched = true;
        if (segment && segment.toSequence === sequence) segment.headThrough = sequence;
      }
    }
  }

  #checkPersonal(stored: StoredEntry, entry: JournalEntry): void {
    const hashes = entry.personal ?? {};
    const { sequence } = entry;
    const kept = new Set<string>();
    for (const value of stored.personal) {
      kept.add(value.field);
      if (hashes[value.field] !== personalHash(value)) {
        this.#find('personal-changed', sequence, sequence, `entry ${sequence}: ${value.field} was changed`);
      }
    }
    if (Object.keys(hashes).some((field) => !kept.has(field))) this.#miss(sequence);
    else if (kept.size > 0) this.#lastKept = sequence;
  }

  /** Entries that never had personal values do not part one range of missing ones from the next. */
  #miss(sequence: number): void {
    const last = this.missingPersonal.at(-1);
    if (last && last[1] > this.#lastKept) last[1] = sequence;
    else this.missingPersonal.push([sequence, sequence]);
  }

  #startSegment(fromSequence: number): void {
    const last = this.#segments.at(-1);
    if (last && last.toSequence < last.fromSequence) this.#segments.pop();
    this.#segments.push({ fromSequence, toSequence: fromSequence - 1 });
  }

  #find(kind: FindingKind, fromSequence: number, toSequence: number, text: string): void {
    this.#findings.add({ kind, incarnation: this.incarnation, fromSequence, toSequence, text });
  }
}

/** `entry 3 is` or `entries 3 to 5 are`. */
export function named(from: number, to: number): string {
  return from === to ? `entry ${from} is` : `entries ${from} to ${to} are`;
}
