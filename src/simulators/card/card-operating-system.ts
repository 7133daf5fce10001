import { type Command, parseCommand } from '#core/apdu/command.ts';
import { chainingBit } from '#core/apdu/command-chaining.ts';
import { joinResponse, statusWords } from '#core/apdu/response.ts';
import { gpClass } from '#core/card/channel/scp03/messages.ts';
import { type CardAnswer, dataAnswer, statusAnswer, wrongExpected } from './card-answer.ts';
import type { Application } from './card-application.ts';
import { CommandChain } from './command-chain.ts';

export interface CardOperatingSystemParts {
  /** in the order in which a partial AID matches */
  readonly applications: readonly Application[];
  readonly randomBytes: (length: number) => Uint8Array;
  readonly extendedLength: boolean;
}

const mostInShortForm = 256;

function startsWith(aid: Uint8Array, prefix: Uint8Array): boolean {
  return prefix.length > 0 && prefix.length <= aid.length && prefix.every((byte, i) => byte === aid[i]);
}

/** Takes command APDUs, selects applications and passes the rest on to the selected one (ISO 7816-4). */
export class CardOperatingSystem {
  readonly #applications: readonly Application[];
  readonly #randomBytes: (length: number) => Uint8Array;
  readonly #extendedLength: boolean;
  readonly #chain = new CommandChain();
  /** the rest of an answer, with its status word, until the next command */
  #held: Uint8Array | undefined;
  #selected: Application | undefined;

  constructor({ applications, randomBytes, extendedLength }: CardOperatingSystemParts) {
    this.#extendedLength = extendedLength;
    this.#applications = applications;
    this.#randomBytes = randomBytes;
  }

  /** Back to the state after power on. */
  reset(): void {
    this.#selected?.deselect();
    this.#selected = undefined;
    this.#chain.reset();
    this.#held = undefined;
  }

  /** The response to any bytes at all; never throws for what a terminal sends. */
  process(apdu: Uint8Array): Uint8Array {
    const command = parseCommand(apdu);
    const isExtended = apdu.length > 5 && apdu[4] === 0;
    if (!command || (isExtended && !this.#extendedLength)) return bare(statusWords.wrongLength);
    const held = this.#held;
    this.#held = undefined;
    if (held && command.cla === 0x00 && command.ins === 0xc0) {
      return this.#portion(held, command.expected ?? mostInShortForm);
    }
    const refusal = this.#classRefusal(command.cla);
    if (refusal !== undefined) return bare(refusal);
    const step = this.#chain.take(command, apdu);
    if (step.kind === 'answered') return bare(step.status);
    const response = this.#respond(step.command, step.apdu);
    return isExtended ? response : this.#portion(response, mostInShortForm);
  }

  #respond(command: Command, apdu: Uint8Array): Uint8Array {
    if (!isProtected(command.cla)) {
      const { data, status } = this.#executePlain(command, apdu);
      return joinResponse(data, status);
    }
    return this.#selected?.executeProtected(command, apdu) ?? bare(statusWords.conditionsNotSatisfied);
  }

  /** What an answer in short form can hold, and the rest kept for GET RESPONSE, which 61xx asks for (ISO 7816-4, 5.3.4). */
  #portion(response: Uint8Array, most: number): Uint8Array {
    const left = response.length - 2 - most;
    if (left <= 0) return response;
    this.#held = response.subarray(most);
    return joinResponse(response.subarray(0, most), 0x6100 | (left > 0xff ? 0 : left));
  }

  /** The status that refuses a class byte; undefined for one that the card or the selected application takes. */
  #classRefusal(given: number): number | undefined {
    const cla = (given & 0x60) === 0 ? given & ~chainingBit : given;
    const taken = this.#selected ? this.#selected.classes.has(cla) : cla === 0x0c;
    if (cla === 0x00 || taken) return undefined;
    if (cla >= 0x20 && ((cla & ~0x0f) !== gpClass || !this.#selected?.classes.has(gpClass))) {
      return statusWords.classNotSupported;
    }
    return (cla & 0x03) === 0 ? statusWords.secureMessagingNotSupported : statusWords.channelNotSupported;
  }

  #executePlain(command: Command, apdu: Uint8Array): CardAnswer {
    if (command.cla !== 0x00 && this.#selected) return this.#selected.execute(command, apdu);
    if (command.ins === 0xa4 && command.p1 === 0x04) return this.#selectApplication(command);
    if (command.ins === 0xa4 && command.p1 === 0x00 && isMasterFile(command.data)) {
      return this.#selectMasterFile(command);
    }
    if (command.ins === 0x84) return this.#challenge(command);
    if (this.#selected) return this.#selected.execute(command, apdu);
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

/** Both forms of secure messaging, of ISO 7816-4 and of GlobalPlatform, have these bits of the class. */
const isProtected = (cla: number): boolean => (cla & 0x0c) !== 0;

const bare = (status: number): Uint8Array => joinResponse(new Uint8Array(), status);
