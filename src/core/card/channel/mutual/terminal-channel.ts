import type { Command } from '#core/apdu/command.ts';
import { encodeCommand } from '#core/apdu/command.ts';
import { describeStatus, isSuccessOrWarning, splitResponse } from '#core/apdu/response.ts';
import { concat, equalConstantTime } from '#core/bytes/bytes.ts';
import { buildTlv, parseTlv, type Tlv } from '#core/bytes/tlv.ts';
import type { ChannelParameters, SessionSecrets } from '#core/card/channel/mutual/messages.ts';
import { objectTags, SecureMessaging } from '#core/card/channel/mutual/secure-messaging.ts';
import { type ChannelResponse, carriesPin, type SecureChannel } from '#core/card/channel/secure-channel.ts';
import { Fault } from '#core/fault.ts';

const noData = new Uint8Array();

function notAuthentic(what: string, cause?: unknown): Fault {
  return new Fault('card-message-not-authentic', `the card's answer is not authentic: ${what}`, { cause });
}

interface ResponseObjects {
  readonly data?: Tlv;
  readonly status: Tlv;
  readonly mac: Tlv;
}

/** [data object] DO'99' DO'8E', in this order and nothing else. */
function responseObjects(data: Uint8Array): ResponseObjects {
  let objects: Tlv[];
  try {
    objects = parseTlv(data);
  } catch (cause) {
    throw notAuthentic('its data objects are malformed', cause);
  }
  const mac = objects.pop();
  const status = objects.pop();
  const [first, ...others] = objects;
  if (mac?.tag !== objectTags.mac || mac.value.length !== 8) throw notAuthentic('it has no MAC');
  if (status?.tag !== objectTags.status || status.value.length !== 2)
    throw notAuthentic('it has no protected status');
  if (others.length > 0) throw notAuthentic('it has data objects that do not belong there');
  return first ? { data: first, status, mac } : { status, mac };
}

/**
 * The terminal's end of ISO 7816-4 secure messaging. The first answer that is not authentic, and every bare status,
 * closes it for good: from then on both methods throw a Fault `card-channel-closed`.
 */
export class TerminalChannel implements SecureChannel {
  readonly #session: SecureMessaging;
  readonly #messages: ChannelParameters['messages'];
  #oddInstruction = false;
  #isOpen = true;

  /** Takes over `secrets`. */
  constructor(parameters: ChannelParameters, secrets: SessionSecrets) {
    this.#session = new SecureMessaging(parameters, secrets);
    this.#messages = parameters.messages;
  }

  wrap(command: Command): Uint8Array {
    this.#demandOpen();
    this.#session.advanceCounter();
    this.#oddInstruction = (command.ins & 1) === 1;
    const header = Uint8Array.of(command.cla | 0x0c, command.ins, command.p1, command.p2);
    const objects = concat(this.#dataObject(command), this.#expectedObject(command));
    const mac = buildTlv(objectTags.mac, this.#session.macOf(header, objects));
    const data = concat(objects, mac);
    const extended = data.length > 0xff || (command.expected ?? 0) > 0x100;
    // a protected answer is longer than the plain one: Le asks for all there is
    return encodeCommand({ ...command, cla: command.cla | 0x0c, data, expected: extended ? 0x10000 : 0x100 });
  }

  unwrap(response: Uint8Array): ChannelResponse {
    this.#demandOpen();
    try {
      return this.#authentic(response);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  close(): void {
    this.#isOpen = false;
    this.#session.close();
  }

  #demandOpen(): void {
    if (!this.#isOpen) throw new Fault('card-channel-closed', 'the secure channel to the card is closed');
  }

  #dataObject({ ins, data }: Command): Uint8Array {
    if (!data || data.length === 0) return noData;
    const encrypted = this.#messages === 'encrypted' || this.#oddInstruction || carriesPin(ins);
    return encrypted
      ? this.#session.encryptObject(data, this.#oddInstruction)
      : buildTlv(objectTags.plain, data);
  }

  #expectedObject({ expected }: Command): Uint8Array {
    if (expected === undefined) return noData;
    if (expected <= 0x100) return Uint8Array.of(objectTags.expected, 1, expected & 0xff);
    return Uint8Array.of(objectTags.expected, 2, (expected >> 8) & 0xff, expected & 0xff);
  }

  #authentic(response: Uint8Array): ChannelResponse {
    const { data, status } = splitResponse(response);
    if (data.length === 0) throw this.#bareStatus(status);
    const objects = responseObjects(data);
    this.#session.advanceCounter();
    const covered = data.subarray(0, data.length - objects.mac.raw.length);
    if (!equalConstantTime(this.#session.macOf(undefined, covered), objects.mac.value)) {
      throw notAuthentic('its MAC is wrong');
    }
    const [sw1 = 0, sw2 = 0] = objects.status.value;
    if (((sw1 << 8) | sw2) !== status) throw notAuthentic('its status differs from the protected one');
    return { ...this.#plainData(objects.data), status, authentic: true };
  }

  #bareStatus(status: number): Fault {
    return isSuccessOrWarning(status)
      ? notAuthentic('it has no MAC')
      : new Fault(
          'card-answer-status',
          `the card ended the secure channel with status ${describeStatus(status)}`,
        );
  }

  #plainData(object: Tlv | undefined): { data: Uint8Array; encrypted: boolean } {
    if (!object) return { data: noData, encrypted: false };
    const encryptedTag = this.#oddInstruction ? objectTags.encryptedOdd : objectTags.encrypted;
    const encrypted = this.#messages === 'encrypted' || this.#oddInstruction;
    if (object.tag !== (encrypted ? encryptedTag : objectTags.plain)) {
      throw new Fault(
        'card-answer-malformed',
        "the card's answer has data in another form than its profile says",
      );
    }
    const data = encrypted ? this.#session.decryptObject(object.value, this.#oddInstruction) : object.value;
    if (!data)
      throw new Fault('card-answer-malformed', "the card's answer has a cryptogram that is not padded");
    return { data, encrypted };
  }
}
