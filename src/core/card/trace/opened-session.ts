import { parseCommand } from '#core/apdu/command.ts';
import { equalConstantTime, toHex } from '#core/bytes/bytes.ts';
import { parseTlv, type Tlv } from '#core/bytes/tlv.ts';
import type { ChannelParameters, SessionSecrets } from '#core/card/channel/mutual/messages.ts';
import { objectTags, SecureMessaging } from '#core/card/channel/mutual/secure-messaging.ts';
import type { Scp03Session } from '#core/card/channel/scp03/session.ts';
import { isFault } from '#core/fault.ts';
import type { MaskedBytes } from './masked-bytes.ts';

/** A recorded message with its protection taken off, as far as the trace holds it. */
export interface OpenedMessage {
  /** `unverifiable`: the MAC, or something that it covers, was not recorded */
  readonly mac: 'right' | 'wrong' | 'unverifiable' | 'none';
  /** upper-case hexadecimal; absent where there is no data, or it was not recorded */
  readonly data?: string;
}

/** A session of the past, worked through again message by message, in their order. */
export interface OpenedSession {
  command(apdu: MaskedBytes): OpenedMessage;
  response(apdu: MaskedBytes): OpenedMessage;
  close(): void;
}

const noMessage: OpenedMessage = { mac: 'none' };

function objectsOf(bytes: Uint8Array): readonly Tlv[] {
  try {
    return parseTlv(bytes);
  } catch (error) {
    if (isFault(error)) return [];
    throw error;
  }
}

/** ISO 7816-4 secure messaging: the counter alone joins messages, so that a masked one costs nothing behind it. */
export class OpenedMutualSession implements OpenedSession {
  readonly #messaging: SecureMessaging;

  /** Takes over `secrets`. */
  constructor(parameters: ChannelParameters, secrets: SessionSecrets) {
    this.#messaging = new SecureMessaging(parameters, secrets);
  }

  command(apdu: MaskedBytes): OpenedMessage {
    const data = parseCommand(apdu.bytes)?.data;
    return data ? this.#open(apdu, data, apdu.bytes.subarray(0, 4)) : noMessage;
  }

  response(apdu: MaskedBytes): OpenedMessage {
    const data = apdu.bytes.subarray(0, Math.max(0, apdu.bytes.length - 2));
    return data.length > 0 ? this.#open(apdu, data, undefined) : noMessage;
  }

  close(): void {
    this.#messaging.close();
  }

  #open(apdu: MaskedBytes, body: Uint8Array, header: Uint8Array | undefined): OpenedMessage {
    this.#messaging.advanceCounter();
    const objects = objectsOf(body);
    const mac = objects.at(-1);
    if (mac?.tag !== objectTags.mac) return noMessage;
    const plain = this.#plain(apdu, objects);
    const data = plain && { data: toHex(plain) };
    if (!apdu.whole(body)) return { mac: 'unverifiable', ...data };
    const covered = body.subarray(0, body.length - mac.raw.length);
    const right = equalConstantTime(this.#messaging.macOf(header, covered), mac.value);
    return { mac: right ? 'right' : 'wrong', ...data };
  }

  #plain(apdu: MaskedBytes, objects: readonly Tlv[]): Uint8Array | undefined {
    const { plain, encrypted, encryptedOdd } = objectTags;
    const object = objects.find(({ tag }) => tag === plain || tag === encrypted || tag === encryptedOdd);
    if (!object || !apdu.whole(object.value)) return undefined;
    return object.tag === plain
      ? object.value
      : this.#messaging.decryptObject(object.value, object.tag === encryptedOdd);
  }
}

/** SCP03: every MAC covers those before it, so that none behind a masked command can be verified; data can be read. */
export class OpenedScp03Session implements OpenedSession {
  readonly #session: Scp03Session;
  #chainKnown = true;

  /** Takes over `session`, prepared, after its EXTERNAL AUTHENTICATE. */
  constructor(session: Scp03Session) {
    this.#session = session;
  }

  command(apdu: MaskedBytes): OpenedMessage {
    this.#session.advanceCounter();
    const data = parseCommand(apdu.bytes)?.data;
    const { macLength, protection } = this.#session;
    if (!data || data.length < macLength) return noMessage;
    this.#chainKnown &&= apdu.whole();
    const right = this.#chainKnown && this.#session.checkMac(apdu.bytes) !== undefined;
    const mac = this.#chainKnown ? (right ? 'right' : 'wrong') : 'unverifiable';
    // behind a wrong MAC the chain is another one than the card's
    this.#chainKnown &&= right;
    const content = data.subarray(0, data.length - macLength);
    return { mac, ...this.#data(apdu, content, protection.encryptsCommands, 'command') };
  }

  response(apdu: MaskedBytes): OpenedMessage {
    const end = Math.max(0, apdu.bytes.length - 2);
    const { macLength, protection } = this.#session;
    const length = end - (protection.authenticatesResponses ? macLength : 0);
    if (end === 0 || length < 0) return noMessage;
    const content = apdu.bytes.subarray(0, length);
    const data = this.#data(apdu, content, protection.encryptsResponses, 'response');
    if (!protection.authenticatesResponses) return { mac: 'none', ...data };
    if (!this.#chainKnown || !apdu.whole()) return { mac: 'unverifiable', ...data };
    const [sw1 = 0, sw2 = 0] = apdu.bytes.subarray(end);
    const mac = this.#session.responseMac(content, (sw1 << 8) | sw2);
    return { mac: equalConstantTime(mac, apdu.bytes.subarray(length, end)) ? 'right' : 'wrong', ...data };
  }

  close(): void {
    this.#session.close();
  }

  #data(apdu: MaskedBytes, content: Uint8Array, encrypted: boolean, of: 'command' | 'response') {
    if (content.length === 0 || !apdu.whole(content)) return {};
    const plain = encrypted ? this.#session.decrypt(content, of) : content;
    return plain ? { data: toHex(plain) } : {};
  }
}
