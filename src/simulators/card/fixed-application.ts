import type { Command } from '#core/apdu/command.ts';
import { joinResponse, statusWords } from '#core/apdu/response.ts';
import { fromHex, toHex } from '#core/bytes/bytes.ts';
import { buildTlv } from '#core/bytes/tlv.ts';
import { type CardAnswer, statusAnswer } from './card-answer.ts';
import type { Application } from './card-application.ts';

/** Tries a fixed application tells; they never change, since its PINs are not ours to ask. */
const triesTold = 3;
/** the PIN of signatures has more digits, and more tries */
const signaturePin = { aid: 'D392F000260100000001', file: '001B', tries: 5 } as const;

/**
 * One of the card's own applications: selectable and closed. Its files can be selected but not read, VERIFY tells
 * the tries left without data and refuses every PIN unlooked at.
 */
export class FixedApplication implements Application {
  readonly aid: Uint8Array;
  readonly controlInformation: Uint8Array;
  readonly classes = new Set([0x0c]);
  #file = '';

  constructor(aid: string) {
    this.aid = fromHex(aid);
    this.controlInformation = buildTlv(0x6f, buildTlv(0x84, this.aid));
  }

  deselect(): void {
    this.#file = '';
  }

  challenged(): void {}

  execute({ ins, p1, p2, data }: Command): CardAnswer {
    switch (ins) {
      case 0xa4:
        if (p1 !== 0x02 || p2 !== 0x0c) return statusAnswer(statusWords.wrongParameters);
        this.#file = toHex(data ?? new Uint8Array());
        return statusAnswer(statusWords.success);
      case 0xb0:
      case 0xb2:
        return statusAnswer(statusWords.securityNotSatisfied);
      case 0x20:
        return statusAnswer(data ? statusWords.securityNotSatisfied : 0x63c0 | this.#tries());
      default:
        return statusAnswer(statusWords.instructionNotSupported);
    }
  }

  /** Of the PIN whose file is selected. */
  #tries(): number {
    const { aid, file, tries } = signaturePin;
    return this.#file === file && toHex(this.aid) === aid ? tries : triesTold;
  }

  executeProtected(): Uint8Array {
    return joinResponse(new Uint8Array(), statusWords.conditionsNotSatisfied);
  }
}
