import type { Command } from '#core/apdu/command.ts';
import { joinResponse, statusWords } from '#core/apdu/response.ts';
import { fromHex } from '#core/bytes/bytes.ts';
import { buildTlv } from '#core/bytes/tlv.ts';
import { type CardAnswer, statusAnswer } from './card-answer.ts';
import type { Application } from './card-application.ts';

/** Tries a fixed application tells; they never change, since its PINs are not ours to ask. */
const triesTold = 3;

/**
 * One of the card's own applications: selectable and closed. Its files can be selected but not read, VERIFY tells
 * the tries left without data and refuses every PIN unlooked at.
 */
export class FixedApplication implements Application {
  readonly aid: Uint8Array;
  readonly controlInformation: Uint8Array;
  readonly classes = new Set([0x0c]);

  constructor(aid: string) {
    this.aid = fromHex(aid);
    this.controlInformation = buildTlv(0x6f, buildTlv(0x84, this.aid));
  }

  deselect(): void {}

  challenged(): void {}

  execute({ ins, p1, p2, data }: Command): CardAnswer {
    switch (ins) {
      case 0xa4:
        return statusAnswer(p1 === 0x02 && p2 === 0x0c ? statusWords.success : statusWords.wrongParameters);
      case 0xb0:
      case 0xb2:
        return statusAnswer(statusWords.securityNotSatisfied);
      case 0x20:
        return statusAnswer(data ? statusWords.securityNotSatisfied : 0x63c0 | triesTold);
      default:
        return statusAnswer(statusWords.instructionNotSupported);
    }
  }

  executeProtected(): Uint8Array {
    return joinResponse(new Uint8Array(), statusWords.conditionsNotSatisfied);
  }
}
