import type { SequenceRange } from './erasure.ts';

/** What can be wrong with a journal. */
export const findingKinds = [
  /** the bytes of an entry do not have the hash stored with them */
  'entry-changed',
  /** the bytes of an entry are no entry of a known format */
  'entry-malformed',
  /** an entry does not follow the one before it: one of the two was replaced */
  'chain-broken',
  'entries-missing',
  /** an entry stands where its sequence number does not belong: moved, inserted or repeated */
  'entry-misplaced',
  'personal-changed',
  /** personal values are gone and no erasure in the journal accounts for them */
  'personal-missing',
  'checkpoint-malformed',
  'checkpoint-signature-wrong',
  'checkpoint-key-unknown',
  /** a signed checkpoint says that the entry it names had another hash */
  'checkpoint-contradicts',
  /** a head kept outside has another hash for its entry */
  'head-contradicts',
  /** a checkpoint or an outside head names an entry behind the end of the journal: the end was cut off */
  'end-missing',
  /** far more entries stand behind the last signed checkpoint than its interval allows */
  'checkpoint-missing',
] as const;
export type FindingKind = (typeof findingKinds)[number];

/** One thing wrong, with the entries it concerns (both inclusive). */
export interface Finding {
  readonly kind: FindingKind;
  readonly incarnation: string;
  readonly fromSequence: number;
  readonly toSequence: number;
  readonly text: string;
}

/**
 * Entries that follow one another without a finding. `signedThrough` is the last that a checkpoint with a key given
 * from outside proves, `headThrough` the last that a head kept outside proves; what comes after both is linked by
 * hashes alone, which proves nothing against someone who can rewrite the whole journal.
 */
export interface VouchedSegment {
  readonly fromSequence: number;
  readonly toSequence: number;
  readonly signedThrough?: number;
  /** last checkpoint whose signature fits the key found in the journal itself */
  readonly selfSignedThrough?: number;
  readonly headThrough?: number;
}

export interface ChainReport {
  readonly terminal: string;
  readonly incarnation: string;
  readonly lastSequence: number;
  /** hash of the last entry, upper-case hexadecimal */
  readonly lastHash: string;
  readonly segments: readonly VouchedSegment[];
  /** entries from the first through this one are not in this journal any more, and it recorded that it let go of them */
  readonly forgottenThrough?: number;
}

export interface VerifyReport {
  /** no finding at all */
  readonly sound: boolean;
  readonly entries: number;
  readonly checkpoints: number;
  /** personal values erased and accounted for */
  readonly erased: readonly { readonly incarnation: string; readonly ranges: readonly SequenceRange[] }[];
  readonly chains: readonly ChainReport[];
  /** the first findings, at most `findingsKept` */
  readonly findings: readonly Finding[];
  readonly findingCount: number;
}

export const findingsKept = 1_000;

/** Collects findings, keeping the first ones and counting all. */
export class Findings {
  readonly kept: Finding[] = [];
  count = 0;

  add(finding: Finding): void {
    this.count += 1;
    if (this.kept.length < findingsKept) this.kept.push(finding);
  }
}
