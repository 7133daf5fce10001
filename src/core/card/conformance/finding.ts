import { type Fault, type FaultRecord, isFault } from '#core/fault.ts';
import { faultMeanings } from '#core/texts/faults.ts';
import type { Text } from '#core/texts/language.ts';
import { statusLabel } from '#core/texts/status-words.ts';

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

/** A fault in words, which hold no secret; `lastStatus` is what the card answered last. */
export function faultText({ code, message }: FaultRecord, lastStatus: number | undefined): Text {
  const status =
    code === 'card-answer-status' && lastStatus !== undefined ? `: ${statusLabel(lastStatus).ja}` : '';
  return { ja: `${code}: ${faultMeanings[code]}${status}`, en: `${code}: ${message}` };
}

/** Runs `action`; a fault that the card caused is a failed check with the fault's words. */
export async function outcomeOf(
  action: () => Promise<Result>,
  lastStatus: () => number | undefined,
): Promise<Result> {
  try {
    return await action();
  } catch (error) {
    if (!isFault(error) || endsAll(error)) throw error;
    const { ja, en } = faultText(error, lastStatus());
    return fails(ja, en);
  }
}
