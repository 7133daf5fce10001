import { SystemClock } from '#adapters/os/clock.ts';
import { SystemEntropy } from '#adapters/os/entropy.ts';
import { type HeldCard, holdCard } from '#adapters/pcsc/held-card.ts';
import type { Output } from './output.ts';
import { chosenReaders } from './pcsc-session.ts';

/** A slow card shall be seen, not cut off: the limit of an exchange, in milliseconds. */
const apduDeadlineMs = 5_000;
/** Without waiting: how long a card that lies in a reader may take to show. */
const showLimitMs = 2_000;

/** The card that a command speaks to itself, and what this machine brings to a session with it. */
export interface CardInHand {
  readonly card: HeldCard;
  readonly randomBytes: (length: number) => Uint8Array;
  readonly monotonicUs: () => number;
}

export interface InHandOptions {
  /** exact name; every reader there is where absent */
  readonly reader: string | undefined;
  /** whether to wait without end, after telling this */
  readonly waitFor: string | undefined;
}

/** Runs `action` with the first card in a reader, and then resets it. Rejects with reader faults, `deadline-exceeded`. */
export async function withCardInHand<T>(
  { reader, waitFor }: InHandOptions,
  output: Output,
  action: (inHand: CardInHand) => Promise<T>,
): Promise<T> {
  const clock = new SystemClock();
  const entropy = new SystemEntropy();
  const readerNames = await chosenReaders(reader);
  if (waitFor !== undefined) output.note(waitFor);
  const limit = waitFor === undefined ? { waitMs: showLimitMs } : {};
  const card = await holdCard({ readerNames, apduDeadlineMs, ...limit });
  try {
    return await action({
      card,
      randomBytes: (length) => entropy.bytes(length),
      monotonicUs: () => clock.monotonicUs(),
    });
  } finally {
    await card.release();
  }
}
