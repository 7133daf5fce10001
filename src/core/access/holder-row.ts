import type { RecordStatus } from './policy.ts';

/** One line of a list of holders, checked on its own: the holder and one card. */
export interface HolderRow {
  /** line of the file, from 1 */
  readonly line: number;
  readonly holderId: string;
  readonly profileId: string;
  readonly userNumber: string;
  /** upper-case hexadecimal; absent: any card with the user number */
  readonly diversifier?: string;
  /** what the list says of the card and its holder: absent members stay as they are, null clears */
  readonly cardStatus?: RecordStatus;
  readonly keyVersion?: number | null;
  readonly status?: RecordStatus;
  readonly validFromMs?: number | null;
  readonly validUntilMs?: number | null;
  /** sorted, each once */
  readonly groups?: readonly string[];
}

/** `complete`: the list is everybody, who is missing is removed. `delta`: the list adds and changes. */
export type ImportMode = 'complete' | 'delta';

/** One thing wrong with a list. The text never holds a user number. */
export interface ImportProblem {
  readonly line: number;
  readonly text: string;
}
