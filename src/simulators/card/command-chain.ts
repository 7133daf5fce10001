import { type Command, encodeCommand } from '#core/apdu/command.ts';
import { chainingBit } from '#core/apdu/command-chaining.ts';
import { statusWords } from '#core/apdu/response.ts';
import { concat } from '#core/bytes/bytes.ts';

const lastCommandExpected = 0x6883;
const mostData = 0xffff;
const noData = new Uint8Array();

/** A command to be worked on, or the status that answers a part of one. */
export type ChainStep =
  | { readonly kind: 'whole'; readonly command: Command; readonly apdu: Uint8Array }
  | { readonly kind: 'answered'; readonly status: number };

const isSameHeader = (a: Command, b: Command): boolean =>
  a.cla === b.cla && a.ins === b.ins && a.p1 === b.p1 && a.p2 === b.p2;

/** Joins the commands of a chain into the one they stand for (ISO 7816-4, 5.3.3). */
export class CommandChain {
  #parts: Command | undefined;

  /** Forgets what was chained. */
  reset(): void {
    this.#parts = undefined;
  }

  take(command: Command, apdu: Uint8Array): ChainStep {
    const parts = this.#parts;
    this.#parts = undefined;
    const isLast = (command.cla & chainingBit) === 0;
    const bare = { ...command, cla: command.cla & ~chainingBit };
    if (parts && !isSameHeader(parts, bare)) return { kind: 'answered', status: lastCommandExpected };
    if (isLast && !parts) return { kind: 'whole', command, apdu };
    const data = concat(parts?.data ?? noData, bare.data ?? noData);
    if (data.length > mostData) return { kind: 'answered', status: statusWords.wrongLength };
    const joined = { ...bare, data };
    if (isLast) return { kind: 'whole', command: joined, apdu: encodeCommand(joined) };
    this.#parts = joined;
    return { kind: 'answered', status: statusWords.success };
  }
}
