import { type Fault, isFault } from '#core/fault.ts';
import type { Text } from '#core/texts/language.ts';

/** `noted`: neither right nor wrong, but worth knowing; `not-tried`: the profile or the command line did not call for it */
export type Verdict = 'holds' | 'fails' | 'noted' | 'not-tried';

/** What one check of a card against its profile came to. */
export interface Finding {
  readonly id: string;
  readonly title: Text;
  readonly verdict: Verdict;
  readonly detail: Text;
}

export type Result = Pick<Finding, 'verdict' | 'detail'>;

/** One check; it begins with the card just reset. Outcomes of the card are results, faults of the reader are thrown. */
export interface Check<B> {
  readonly id: string;
  readonly title: Text;
  readonly run: (bench: B) => Promise<Result>;
}

const result =
  (verdict: Verdict) =>
  (ja: string, en: string): Result => ({ verdict, detail: { ja, en } });

export const holds = result('holds');
export const fails = result('fails');
export const noted = result('noted');
export const notTried = result('not-tried');

/** These end the whole walk: the card or the reader is gone. */
function endsAll(fault: Fault): boolean {
  return fault.code === 'card-removed' || fault.code.startsWith('reader-');
}

/** Runs `action`; a fault that the card caused is a failed check with the fault's words, which hold no secret. */
export async function outcomeOf(action: () => Promise<Result>): Promise<Result> {
  try {
    return await action();
  } catch (error) {
    if (!isFault(error) || endsAll(error)) throw error;
    const words = `${error.code}: ${error.message}`;
    return fails(words, words);
  }
}
