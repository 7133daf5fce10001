import { toHex } from '#core/bytes/bytes.ts';
import { parseDevicePublicKey } from '#core/crypto/device-signature.ts';
import { digest } from '#core/crypto/digest.ts';
import type { StoredCheckpoint } from './checkpoint.ts';
import { type JournalEntry, parseEntry, type StoredEntry } from './entry.ts';
import { erasureOf, merged, type SequenceRange, uncovered } from './erasure.ts';
import { type ForgottenHead, forgettingOf } from './forgetting.ts';
import { ChainWalk, type HeadCheck, named, type OutsideHead, type VerifyKey } from './verify-chain.ts';
import { Findings, type VerifyReport } from './verify-report.ts';

/** What a journal consists of, in the order stored; a checkpoint follows the entry it signs. */
export type JournalItem =
  | ({ readonly kind: 'entry' } & StoredEntry)
  | ({ readonly kind: 'checkpoint' } & StoredCheckpoint)
  /** ahead of the first entry of an incarnation that has let go of those before it */
  | ({ readonly kind: 'forgotten'; readonly terminal: string } & ForgottenHead)
  /** a device key as the journal itself names it (SubjectPublicKeyInfo, DER), ahead of the checkpoints it signed */
  | { readonly kind: 'key'; readonly publicKey: Uint8Array };

export interface VerifyOptions {
  /** public keys known from outside (SubjectPublicKeyInfo, DER or PEM) */
  readonly publicKeys: readonly (Uint8Array | string)[];
  readonly heads: readonly OutsideHead[];
  /** false for an export made without personal values: their absence then says nothing */
  readonly personalIncluded: boolean;
  readonly checkpointEveryEntries: number;
  /** false where something else than an entry of the journal tells what it has let go of */
  readonly forgettingRecorded?: boolean;
  /** by incarnation: entries whose personal values were erased without an entry of the journal that says so */
  readonly erasedElsewhere?: ReadonlyMap<string, readonly SequenceRange[]>;
}

/**
 * Walks a journal and reports everything that was changed, removed, reordered or inserted, and from which entry to
 * which it can vouch. Needs no memory beyond the findings: a journal of any length may stream through.
 *
 * What no verification can see: the end cut off behind the last checkpoint while no head is kept outside, and a
 * journal rewritten as a whole by someone who holds the device key.
 */
export async function verifyJournal(
  items: AsyncIterable<JournalItem> | Iterable<JournalItem>,
  options: VerifyOptions,
): Promise<VerifyReport> {
  const walk = new JournalWalk(options);
  for await (const item of items) walk.take(item);
  return walk.finish();
}

class JournalWalk {
  readonly #options: VerifyOptions;
  readonly #findings = new Findings();
  readonly #keys = new Map<string, VerifyKey>();
  readonly #heads: readonly HeadCheck[];
  readonly #chains = new Map<string, ChainWalk>();
  /** damaged entries before the first sound one, which will tell their incarnation */
  #waiting: StoredEntry[] = [];
  #current: ChainWalk | undefined;
  readonly #erased = new Map<string, SequenceRange[]>();
  /** what is gone, and what is recorded as let go of, by incarnation */
  readonly #forgotten = new Map<string, ForgottenHead>();
  readonly #recorded = new Map<string, ForgottenHead>();
  #entries = 0;
  #checkpoints = 0;

  constructor(options: VerifyOptions) {
    this.#options = options;
    this.#heads = options.heads.map((head) => ({ head, matched: false }));
    for (const text of options.publicKeys) this.#learnKey(text, true);
  }

  take(item: JournalItem): void {
    if (item.kind === 'entry') {
      this.#entries += 1;
      this.#takeEntry(item);
    } else if (item.kind === 'checkpoint') {
      this.#checkpoints += 1;
      if (this.#current) this.#current.takeCheckpoint(item);
      else this.#startUnknown().takeCheckpoint(item);
    } else if (item.kind === 'forgotten') {
      this.#beginBehind(item);
    } else {
      this.#learnKey(item.publicKey, false);
    }
  }

  finish(): VerifyReport {
    if (this.#waiting.length > 0) this.#startUnknown();
    const chains = [...this.#chains.values()].map((chain) =>
      chain.finish(this.#options.checkpointEveryEntries),
    );
    for (const check of this.#heads) if (!check.matched) this.#reportHead(check);
    if (this.#options.forgettingRecorded !== false) this.#accountForForgotten();
    const erased = this.#options.personalIncluded ? this.#accountForErasures() : [];
    return {
      sound: this.#findings.count === 0,
      entries: this.#entries,
      checkpoints: this.#checkpoints,
      erased,
      chains,
      findings: this.#findings.kept,
      findingCount: this.#findings.count,
    };
  }

  #takeEntry(stored: StoredEntry): void {
    const entry = parseEntry(stored.raw);
    const computed = toHex(digest('sha-256', stored.raw));
    if (!entry || computed !== toHex(stored.hash)) {
      if (this.#current) this.#current.takeEntry(stored, entry, computed);
      else this.#waiting.push(stored);
      return;
    }
    const chain = this.#chainOf(entry);
    this.#feedWaiting(chain);
    chain.takeEntry(stored, entry, computed);
    const erasure = erasureOf(entry);
    if (erasure) {
      this.#erased.set(erasure.incarnation, [
        ...(this.#erased.get(erasure.incarnation) ?? []),
        ...erasure.ranges,
      ]);
    }
    const recorded = forgettingOf(entry);
    if (recorded && recorded.sequence > (this.#recorded.get(recorded.incarnation)?.sequence ?? 0)) {
      this.#recorded.set(recorded.incarnation, recorded);
    }
  }

  /** What is said amid an incarnation counts for nothing: what lacks there is found. */
  #beginBehind({ terminal, incarnation, sequence, hash }: Extract<JournalItem, { kind: 'forgotten' }>): void {
    if (this.#chains.has(incarnation)) return;
    const forgotten = { incarnation, sequence, hash };
    this.#forgotten.set(incarnation, forgotten);
    this.#current = this.#start({ terminal, incarnation }, forgotten);
    this.#feedWaiting(this.#current);
  }

  #chainOf(entry: JournalEntry): ChainWalk {
    const known = this.#chains.get(entry.incarnation);
    if (known && known !== this.#current) {
      const at = entry.sequence;
      this.#findings.add({
        kind: 'entry-misplaced',
        incarnation: entry.incarnation,
        fromSequence: at,
        toSequence: at,
        text: `entry ${at} stands among entries of another incarnation`,
      });
    }
    this.#current = known ?? this.#start(entry);
    return this.#current;
  }

  #start(
    entry: { readonly terminal: string; readonly incarnation: string },
    forgotten?: ForgottenHead,
  ): ChainWalk {
    const parts = { findings: this.#findings, keys: this.#keys, heads: this.#heads };
    const chain = new ChainWalk(entry, parts, forgotten);
    this.#chains.set(entry.incarnation, chain);
    return chain;
  }

  /** A chain for what comes before any entry that can be trusted to name its incarnation. */
  #startUnknown(): ChainWalk {
    const chain = this.#start({ terminal: 'unknown', incarnation: 'unknown' });
    this.#feedWaiting(chain);
    return chain;
  }

  #feedWaiting(chain: ChainWalk): void {
    for (const damaged of this.#waiting) {
      chain.takeEntry(damaged, undefined, toHex(digest('sha-256', damaged.raw)));
    }
    this.#waiting = [];
  }

  #learnKey(spki: Uint8Array | string, given: boolean): void {
    const publicKey = parseDevicePublicKey(spki);
    if (publicKey && !this.#keys.has(publicKey.keyId)) this.#keys.set(publicKey.keyId, { publicKey, given });
  }

  #reportHead({ head, contradictedIn }: HeadCheck): void {
    const last = [...this.#chains.keys()].at(-1) ?? 'unknown';
    const { sequence } = head;
    if (contradictedIn !== undefined) {
      this.#findings.add({
        kind: 'head-contradicts',
        incarnation: contradictedIn,
        fromSequence: sequence,
        toSequence: sequence,
        text: `a head kept outside has another hash for entry ${sequence}`,
      });
      return;
    }
    const incarnation = head.incarnation ?? last;
    const from = (this.#chains.get(incarnation)?.lastSequence() ?? 0) + 1;
    this.#findings.add({
      kind: 'end-missing',
      incarnation,
      fromSequence: Math.min(from, sequence),
      toSequence: sequence,
      text: `a head kept outside names entry ${sequence}; ${named(Math.min(from, sequence), sequence)} missing`,
    });
  }

  #accountForForgotten(): void {
    for (const [incarnation, { sequence, hash }] of this.#forgotten) {
      const recorded = this.#recorded.get(incarnation);
      const isRecorded = recorded !== undefined && sequence <= recorded.sequence;
      if (isRecorded && (sequence < recorded.sequence || hash === recorded.hash)) continue;
      const from = isRecorded ? sequence : (recorded?.sequence ?? 0) + 1;
      const text = isRecorded
        ? `entry ${sequence}, the last that was let go of, was another one`
        : `${named(from, sequence)} gone, and no entry records that they were let go of`;
      const kind = isRecorded ? 'chain-broken' : 'entries-missing';
      this.#findings.add({ kind, incarnation, fromSequence: from, toSequence: sequence, text });
    }
  }

  #accountForErasures(): VerifyReport['erased'] {
    const erased: { incarnation: string; ranges: readonly SequenceRange[] }[] = [];
    for (const [incarnation, chain] of this.#chains) {
      const missing = chain.missingPersonal;
      const recorded = this.#erased.get(incarnation) ?? [];
      const elsewhere = this.#options.erasedElsewhere?.get(incarnation) ?? [];
      const unaccounted = uncovered(missing, merged([...recorded, ...elsewhere]));
      for (const [fromSequence, toSequence] of unaccounted) {
        const text = `personal values of ${named(fromSequence, toSequence)} gone, and no erasure records it`;
        this.#findings.add({ kind: 'personal-missing', incarnation, fromSequence, toSequence, text });
      }
      const lawful = uncovered(missing, unaccounted);
      if (lawful.length > 0) erased.push({ incarnation, ranges: lawful });
    }
    return erased;
  }
}
