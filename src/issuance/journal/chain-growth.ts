import {
  at,
  type CheckedBatch,
  type CheckedCheckpoint,
  type CheckedEntry,
  type Wrong,
} from './checked-batch.ts';

/** how many entries a terminal is asked for again, to see which of them were rewritten */
const comparedAgain = 200;

/** What is stored of an incarnation. */
export interface StoredChain {
  readonly sequence: number;
  /** upper-case hexadecimal */
  readonly hash: string;
  readonly signedThrough: number;
}

/** What a batch makes of the incarnation that is stored. */
export interface ChainGrowth {
  /** entries to store, the chain's new head the last of them */
  readonly added: readonly CheckedEntry[];
  /** entries that contradict those stored */
  readonly contradicting: readonly CheckedEntry[];
  readonly checkpoints: readonly CheckedCheckpoint[];
  readonly contradictingCheckpoints: readonly CheckedCheckpoint[];
  readonly chain: StoredChain;
  readonly wrong: readonly Wrong[];
}

/**
 * Joins a batch to what is stored. Nothing that comes in order is turned away, for a gap in the record is worse than an
 * entry that is known to be wrong; nothing that is stored is ever replaced. `storedHash` knows the entries up to the
 * head that the batch or its checkpoints name.
 */
export function grow(
  stored: StoredChain,
  { batch, entries, checkpoints, wrong }: CheckedBatch,
  storedHash: (sequence: number) => string | undefined,
): ChainGrowth {
  const found: Wrong[] = [...wrong];
  const added: CheckedEntry[] = [];
  let head = { sequence: stored.sequence, hash: stored.hash };
  const contradicting = entries.filter(({ sequence, hashText }) => {
    const kept = sequence <= stored.sequence ? storedHash(sequence) : undefined;
    return kept !== undefined && kept !== hashText;
  });
  for (const entry of entries) {
    const { sequence } = entry;
    if (sequence <= head.sequence) continue;
    if (sequence > head.sequence + 1) {
      // what comes too early comes again, unless the terminal has nothing that is earlier
      if (batch.oldestKept !== sequence) break;
      found.push({ kind: 'entries-missing', fromSequence: head.sequence + 1, toSequence: sequence - 1 });
    } else if (entry.previous !== undefined && entry.previous !== head.hash) {
      found.push({ kind: 'chain-broken', fromSequence: Math.max(1, sequence - 1), toSequence: sequence });
    }
    found.push(...entry.wrong);
    added.push(entry);
    head = { sequence, hash: entry.hashText };
  }
  const hashes = new Map(added.map(({ sequence, hashText }) => [sequence, hashText]));
  // one that signs what is not here yet comes again with it
  const known = checkpoints.filter(({ sequence }) => sequence <= head.sequence);
  const fits = ({ sequence, hash }: CheckedCheckpoint) =>
    (hashes.get(sequence) ?? storedHash(sequence)) === hash;
  const sound = known.filter(fits);
  const contradictingCheckpoints = known.filter((checkpoint) => !fits(checkpoint));
  found.push(...contradictingCheckpoints.map(({ sequence }) => at('checkpoint-contradicts', sequence)));
  const signedThrough = Math.max(stored.signedThrough, ...sound.map(({ sequence }) => sequence));
  return {
    added,
    contradicting,
    checkpoints: sound,
    contradictingCheckpoints,
    chain: { ...head, signedThrough },
    wrong: found,
  };
}

/**
 * Entries that a terminal is asked for again, since its history was rewritten: those behind the one up to the other. So
 * each that was is named, from where that began.
 */
export interface Comparison {
  readonly behind: number;
  /** 0: nothing is compared */
  readonly through: number;
}

/** How far a comparison is after a batch; `goesBack`: something before it is to be looked at first. */
export function compareOn(
  now: Comparison,
  { batch: { first, oldestKept }, entries }: CheckedBatch,
  goesBack: boolean,
): Comparison {
  if (goesBack) {
    return {
      behind: Math.max(oldestKept, first - comparedAgain) - 1,
      through: Math.max(now.through, first - 1),
    };
  }
  const joins = first <= now.behind + 1 || first === oldestKept;
  const behind = joins ? Math.max(now.behind, first + entries.length - 1) : now.behind;
  return behind >= now.through ? { behind: 0, through: 0 } : { ...now, behind };
}

/** Whether `raised`, which was not known before, says that what precedes the batch was rewritten too, or may be. */
export function pointsBack(
  { batch: { first, oldestKept } }: CheckedBatch,
  raised: readonly Wrong[],
): boolean {
  return (
    first > oldestKept &&
    raised.some(
      ({ kind, fromSequence, toSequence }) =>
        (kind === 'chain-broken' && toSequence === first) ||
        (kind === 'entry-rewritten' && fromSequence === first),
    )
  );
}

/** Numbers in order as runs without a gap. */
export function runsOf(sequences: readonly number[]): readonly (readonly [from: number, to: number])[] {
  const runs: [number, number][] = [];
  for (const sequence of sequences) {
    const last = runs.at(-1);
    if (last?.[1] === sequence - 1) last[1] = sequence;
    else runs.push([sequence, sequence]);
  }
  return runs;
}
