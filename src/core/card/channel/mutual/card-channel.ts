import { parseCommand } from '#core/apdu/command.ts';
import { joinResponse, statusWords } from '#core/apdu/response.ts';
import { concat, equalConstantTime } from '#core/bytes/bytes.ts';
import { buildTlv, parseTlv, type Tlv } from '#core/bytes/tlv.ts';
import type { ChannelParameters, SessionSecrets } from '#core/card/channel/mutual/messages.ts';
import { objectTags, SecureMessaging } from '#core/card/channel/mutual/secure-messaging.ts';
import { type CardSecureChannel, carriesPin, type OpenedCommand } from '#core/card/channel/secure-channel.ts';

interface CommandObjects {
  readonly data?: Tlv;
  readonly expected?: Tlv;
  readonly mac: Tlv;
}

const dataTags: ReadonlySet<number> = new Set([
  objectTags.plain,
  objectTags.encrypted,
  objectTags.encryptedOdd,
]);

/** [data object] [DO'97'] DO'8E', in this order and nothing else; undefined for anything else. */
function commandObjects(body: Uint8Array): CommandObjects | undefined {
  let objects: Tlv[];
  try {
    objects = parseTlv(body);
  } catch {
    return undefined;
  }
  const mac = objects.pop();
  if (mac?.tag !== objectTags.mac || mac.value.length !== 8) return undefined;
  const expected = objects.at(-1)?.tag === objectTags.expected ? objects.pop() : undefined;
  const [data, ...others] = objects;
  if (others.length > 0 || (data && !dataTags.has(data.tag)) || (expected && !isLength(expected.value))) {
    return undefined;
  }
  return { mac, ...(data && { data }), ...(expected && { expected }) };
}

/** DO'97' is Le as it would stand behind the command in the clear: one byte, or two in extended form. */
const isLength = ({ length }: Uint8Array): boolean => length === 1 || length === 2;

function expectedOf([first = 0, second]: Uint8Array): number {
  return second === undefined ? first || 0x100 : (first << 8) | second || 0x10000;
}

const refused = (status: number): OpenedCommand => ({ kind: 'refused', status });

/** The card's end of ISO 7816-4 secure messaging. A command it refuses ends it. */
export class CardChannel implements CardSecureChannel {
  readonly #session: SecureMessaging;
  readonly #messages: ChannelParameters['messages'];
  #oddInstruction = false;
  #open = true;

  /** Takes over `secrets`. */
  constructor(parameters: ChannelParameters, secrets: SessionSecrets) {
    this.#session = new SecureMessaging(parameters, secrets);
    this.#messages = parameters.messages;
  }

  /** Checks and opens a protected command. A PIN in the clear and data in another form than agreed are refused. */
  unwrap(apdu: Uint8Array): OpenedCommand {
    const opened = this.#open ? this.#opened(apdu) : refused(statusWords.conditionsNotSatisfied);
    if (opened.kind === 'refused') this.close();
    return opened;
  }

  /** Protects the response to the command opened last, its status word included. */
  wrap(data: Uint8Array, status: number): Uint8Array {
    this.#session.advanceCounter();
    const objects = concat(
      this.#dataObject(data),
      Uint8Array.of(objectTags.status, 2, status >> 8, status & 0xff),
    );
    return joinResponse(
      concat(objects, buildTlv(objectTags.mac, this.#session.macOf(undefined, objects))),
      status,
    );
  }

  /** Zeroes the session keys. Safe to call twice. */
  close(): void {
    this.#open = false;
    this.#session.close();
  }

  #opened(apdu: Uint8Array): OpenedCommand {
    const outer = parseCommand(apdu);
    const objects = outer?.data && commandObjects(outer.data);
    if (!outer?.data || !objects) return refused(statusWords.protectionMissing);
    this.#session.advanceCounter();
    const covered = outer.data.subarray(0, outer.data.length - objects.mac.raw.length);
    if (!equalConstantTime(this.#session.macOf(apdu.subarray(0, 4), covered), objects.mac.value)) {
      return refused(statusWords.protectionIncorrect);
    }
    this.#oddInstruction = (outer.ins & 1) === 1;
    const data = objects.data && this.#plainData(objects.data, outer.ins);
    if (objects.data && !data) return refused(statusWords.protectionIncorrect);
    const { ins, p1, p2 } = outer;
    const expected = objects.expected && expectedOf(objects.expected.value);
    return {
      kind: 'command',
      command: { cla: outer.cla & ~0x0c, ins, p1, p2, ...(data && { data }), ...(expected && { expected }) },
    };
  }

  #plainData({ tag, value }: Tlv, instruction: number): Uint8Array | undefined {
    const encrypted = this.#messages === 'encrypted' || this.#oddInstruction || carriesPin(instruction);
    if (!encrypted) return tag === objectTags.plain ? value : undefined;
    const agreed = this.#oddInstruction ? objectTags.encryptedOdd : objectTags.encrypted;
    return tag === agreed ? this.#session.decryptObject(value, this.#oddInstruction) : undefined;
  }

  #dataObject(data: Uint8Array): Uint8Array {
    if (data.length === 0) return data;
    const encrypted = this.#messages === 'encrypted' || this.#oddInstruction;
    return encrypted
      ? this.#session.encryptObject(data, this.#oddInstruction)
      : buildTlv(objectTags.plain, data);
  }
}
