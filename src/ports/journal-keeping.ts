import type { ForgottenHead } from '#core/journal/forgetting.ts';

/** How far the server has a journal: positions over all incarnations, from 1; 0 is nothing. */
export interface UploadedThrough {
  readonly stored: number;
  /** through where a checkpoint that the server has signs it */
  readonly signed: number;
}

export interface ForgettingRequest {
  /** entries at most */
  readonly most: number;
  /** only entries written before this time (milliseconds UTC), as far as it is known when that was */
  readonly olderThanMs?: number;
  readonly nowMs: number;
}

export interface ForgettingPlan {
  readonly through: number;
  readonly count: number;
  /** the entry at `through`, to be recorded before anything is let go of */
  readonly head: ForgottenHead;
}

/** Lets a journal go of entries that the server has stored and of which a checkpoint it has vouches; of no others. */
export interface JournalKeeping {
  /** `listener` is told, often, that entries or checkpoints have come; it returns at once. */
  onGrowth(listener: () => void): void;
  /** Remembers, over restarts, how far the server has the journal; it may have less than before. */
  uploaded(through: UploadedThrough): Promise<void>;
  /** From now on room can be made when it is needed: `space` counts it as left. */
  allowForgetting(): void;
  planForgetting(request: ForgettingRequest): Promise<ForgettingPlan | undefined>;
  /** Lets go of a few more entries through this position; whether it was the last. Resolves before that is durable. */
  forgetSome(through: number): Promise<boolean>;
}
