import { type Command, parseCommand } from '#core/apdu/command.ts';
import { joinResponse, statusWords } from '#core/apdu/response.ts';
import { type CardAnswer, dataAnswer, statusAnswer, wrongExpected } from './card-answer.ts';
import type { Application } from './card-application.ts';

export interface CardOperatingSystemParts {
  /** in the order in which a partial AID matches */
  readonly applications: readonly Application[];
  readonly randomBytes: (length: number) => Uint8Array;
}

function startsWith(aid: Uint8Array, prefix: Uint8Array): boolean {
  return prefix.length > 0 && prefix.length <= aid.length && prefix.every((byte, i) => byte === aid[i]);
}

/** Takes command APDUs, selects applications and passes the rest on to the selected one (ISO 7816-4). */
export class CardOperatingSystem {
  readonly #applications: readonly Application[];
  readonly #randomBytes: (length: number) => Uint8Array;
  #selected: Application | undefined;

  constructor({ applications, randomBytes }: CardOperatingSystemParts) {
    this.#applications = applications;
    this.#randomBytes = randomBytes;
  }

  /** Back to the state after power on. */
  reset(): void {
    this.#selected?.deselect();
    this.#selected = undefined;
  }

  /** The response to any bytes at all; never throws for what a terminal sends. */
  process(apdu: Uint8Array): Uint8Array {
    const command = parseCommand(apdu);
    if (!command) return this.#join(statusAnswer(statusWords.wrongLength));
    const refusal = classRefusal(command.cla);
    if (refusal !== undefined) return this.#join(statusAnswer(refusal));
    if (command.cla === 0x0c) {
      return this.#selected
        ? this.#selected.executeProtected(apdu)
        : this.#join(statusAnswer(statusWords.conditionsNotSatisfied));
    }
    return this.#join(this.#executePlain(command));
  }

  #join({ data, status }: CardAnswer): Uint8Array {
    return joinResponse(data, status);
  }

  #executePlain(command: Command): CardAnswer {
    if (command.ins === 0xa4 && command.p1 === 0x04) return this.#selectApplication(command);
    if (command.ins === 0xa4 && command.p1 === 0x00 && isMasterFile(command.data)) {
      return this.#selectMasterFile(command);
    }
    if (command.ins === 0x84) return this.#challenge(command);
    if (this.#selected) return this.#selected.execute(command);
    if (command.ins === 0xa4) return statusAnswer(statusWords.notFound);
    if (command.ins === 0xb0 || command.ins === 0xb2) return statusAnswer(statusWords.noCurrentFile);
    return statusAnswer(statusWords.instructionNotSupported);
  }

  #selectApplication({ p2, data, expected }: Command): CardAnswer {
    if (p2 !== 0x00 && p2 !== 0x0c) return statusAnswer(statusWords.wrongParameters);
    if (!data || data.length > 16) return statusAnswer(statusWords.wrongLength);
    const found = this.#applications.find(({ aid }) => startsWith(aid, data));
    if (!found) return statusAnswer(statusWords.notFound);
    const { controlInformation } = found;
    const wanted = p2 === 0x00 && expected !== undefined;
    if (wanted && expected < controlInformation.length) return wrongExpected(controlInformation.length);
    this.#selected?.deselect();
    this.#selected = found;
    return wanted ? dataAnswer(controlInformation) : statusAnswer(statusWords.success);
  }

  /** `00 A4 00 00` answers 9000 and selects nothing, as measured on real cards. */
  #selectMasterFile({ p2 }: Command): CardAnswer {
    return statusAnswer(p2 === 0x00 || p2 === 0x0c ? statusWords.success : statusWords.wrongParameters);
  }

  #challenge({ p1, p2, data, expected }: Command): CardAnswer {
    if (p1 !== 0 || p2 !== 0) return statusAnswer(statusWords.wrongParameters);
    if (data || expected === undefined || expected > 256) return statusAnswer(statusWords.wrongLength);
    const challenge = this.#randomBytes(expected);
    this.#selected?.deselect();
    this.#selected?.challenged(challenge);
    return dataAnswer(challenge);
  }
}

/** Whether SELECT with P1 00 names the master file: by its identifier 3F00, or by none (ISO 7816-4, 11.2.2). */
function isMasterFile(data: Uint8Array | undefined): boolean {
  return !data || (data.length === 2 && data[0] === 0x3f && data[1] === 0x00);
}

/** The status that refuses a class byte; undefined for 00 and, with secure messaging, 0C. */
function classRefusal(cla: number): number | undefined {
  if (cla === 0x00 || cla === 0x0c) return undefined;
  if (cla >= 0x20) return statusWords.classNotSupported;
  if ((cla & 0x10) !== 0) return statusWords.chainingNotSupported;
  if ((cla & 0x03) !== 0) return statusWords.channelNotSupported;
  return statusWords.secureMessagingNotSupported;
}
