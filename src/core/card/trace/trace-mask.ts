import { parseCommand } from '#core/apdu/command.ts';
import { toHex } from '#core/bytes/bytes.ts';
import { parseTlv, type Tlv } from '#core/bytes/tlv.ts';
import { objectTags } from '#core/card/channel/mutual/secure-messaging.ts';
import type { CardProfile } from '#core/card/profile.ts';
import { isFault } from '#core/fault.ts';
import { type ApduKind, apduKind, instructionKind, macLengthOf } from './apdu-kind.ts';
import type { TraceHeader } from './trace-format.ts';

/** DF name, file identifier, life cycle status, file size: they tell the card AP, not the card (ISO 7816-4, 5.3.3) */
const harmlessTags: ReadonlySet<number> = new Set([0x84, 0x83, 0x8a, 0x80, 0x81]);

/** of the security level (GlobalPlatform Amendment D, table 7-2) */
const levels = {
  commandMac: 0x01,
  commandsEncrypted: 0x02,
  responseMac: 0x10,
  responsesEncrypted: 0x20,
} as const;

/** their data is a PIN, whatever protects it */
const pinKinds: ReadonlySet<ApduKind> = new Set(['verify', 'change-reference-data', 'reset-retry-counter']);

const isTemplate = (tag: number): boolean => ((tag > 0xff ? tag >> 8 : tag) & 0x20) !== 0;

/** Which bytes of an APDU are shown: none but those that are revealed. */
class Window {
  readonly #bytes: Uint8Array;
  readonly #shown: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#shown = new Uint8Array(bytes.length);
  }

  reveal(start: number, end = this.#bytes.length): void {
    this.#shown.fill(1, Math.max(0, start), Math.max(0, end));
  }

  /** `part` is a view of the APDU */
  revealPart(part: Uint8Array): void {
    const start = part.byteOffset - this.#bytes.byteOffset;
    this.reveal(start, start + part.length);
  }

  /** tag and length of a data object, not its value */
  revealHead({ raw, value }: Tlv): void {
    this.revealPart(raw.subarray(0, raw.length - value.length));
  }

  text(): string {
    let text = '';
    this.#bytes.forEach((byte, place) => {
      text += this.#shown[place] ? toHex(Uint8Array.of(byte)) : '**';
    });
    return text;
  }
}

/** Directly in the FCI or FCP template alone: inside proprietary information the same tags may mean anything. */
function isHarmless([template, tag, ...deeper]: readonly number[]): boolean {
  const known = template === 0x6f || template === 0x62;
  return known && deeper.length === 0 && tag !== undefined && harmlessTags.has(tag);
}

function objectsOf(bytes: Uint8Array): readonly Tlv[] {
  try {
    return parseTlv(bytes);
  } catch (error) {
    if (isFault(error)) return [];
    throw error;
  }
}

/**
 * Decides byte by byte what of an exchange may be written: headers, lengths, tags, status words and what tells the
 * card AP are shown, everything else is masked, so that what nobody foresaw is masked too. PINs, and data and
 * identifiers in the clear are masked always; cryptograms and MACs unless they are to be kept, since without the keys
 * of the card AP they say nothing. A MAC over masked bytes is masked with them: with the keys, it would let them be
 * guessed.
 */
export class TraceMask {
  readonly #profiles: readonly CardProfile[];
  readonly #keep: boolean;
  #selected: CardProfile | undefined;
  /** security level of the SCP03 session: P1 of EXTERNAL AUTHENTICATE; 0 without a session */
  #level = 0;
  #macLength = 0;

  constructor(profiles: readonly CardProfile[], protection: TraceHeader['protection']) {
    this.#profiles = profiles;
    this.#keep = protection === 'kept';
  }

  command(apdu: Uint8Array): string {
    const window = new Window(apdu);
    const command = parseCommand(apdu);
    // the header and nothing else of what is no command at all
    window.reveal(0, Math.min(4, apdu.length));
    if (!command) return window.text();
    const data = command.data ?? new Uint8Array();
    const dataAt = command.data ? data.byteOffset - apdu.byteOffset : apdu.length;
    window.reveal(4, dataAt);
    window.reveal(dataAt + data.length);
    const kind = apduKind(command);
    if (kind === 'select-application') {
      const aid = toHex(data);
      this.#selected = this.#profiles.find(({ application }) => application.aid === aid);
      this.#level = 0;
    }
    if (kind === 'initialize-update') {
      this.#level = 0;
      this.#macLength = macLengthOf(command);
    }
    if (kind.startsWith('select-') || kind === 'initialize-update') window.revealPart(data);
    else if (kind === 'protected-iso')
      this.#protectedObjects(window, data, pinKinds.has(instructionKind(command)));
    else if (kind === 'authenticate') {
      this.#level = command.p1;
      if (this.#keep) window.revealPart(data);
    } else if (kind === 'protected-gp' && this.#keep && !pinKinds.has(instructionKind(command))) {
      const { commandsEncrypted, commandMac } = levels;
      if (this.#saysNothing(data, commandsEncrypted, commandMac)) window.revealPart(data);
    }
    return window.text();
  }

  response(commandApdu: Uint8Array, response: Uint8Array): string {
    const window = new Window(response);
    const end = Math.max(0, response.length - 2);
    window.reveal(end);
    const data = response.subarray(0, end);
    const command = parseCommand(commandApdu);
    // a part of an answer, of 61xx or to GET RESPONSE, has no structure to go by
    if (!command || response[end] === 0x61) return window.text();
    const kind = apduKind(command);
    if (kind === 'select-application') this.#controlInformation(window, data, []);
    else if (kind === 'get-challenge') window.revealPart(data);
    else if (kind === 'initialize-update') this.#initializeUpdate(window, data);
    else if (kind === 'protected-iso') this.#protectedObjects(window, data, false);
    else if (kind === 'authenticate') {
      if (this.#keep) window.revealPart(data);
    } else if (kind === 'protected-gp' && this.#keep) {
      const { responsesEncrypted, responseMac } = levels;
      if (this.#saysNothing(data, responsesEncrypted, responseMac)) window.revealPart(data);
    }
    return window.text();
  }

  /** Encrypted, or a MAC and nothing in the clear before it: without R-MAC, 8 bytes may be a user number. */
  #saysNothing(data: Uint8Array, encrypted: number, mac: number): boolean {
    if ((this.#level & encrypted) !== 0) return true;
    return (this.#level & mac) !== 0 && data.length === this.#macLength;
  }

  #controlInformation(window: Window, data: Uint8Array, path: readonly number[]): void {
    for (const object of objectsOf(data)) {
      const here = [...path, object.tag];
      window.revealHead(object);
      if (isTemplate(object.tag)) this.#controlInformation(window, object.value, here);
      else if (isHarmless(here) || this.#isShown(here)) window.revealPart(object.value);
    }
  }

  /** The key version always; the diversifier, which tells cards apart, where the keys shall open the trace. */
  #isShown(path: readonly number[]): boolean {
    const keys = this.#selected?.keys;
    const at = path.map((tag) => tag.toString(16).toUpperCase().padStart(2, '0')).join('/');
    if (!keys) return false;
    return keys.versionAt === at || (this.#keep && keys.diversifier?.at === at);
  }

  /** diversification data (10), key version, protocol, i, challenge (8), cryptogram (8) [, sequence (3)] */
  #initializeUpdate(window: Window, data: Uint8Array): void {
    if (this.#keep) window.revealPart(data);
    else window.revealPart(data.subarray(10, 21));
  }

  #protectedObjects(window: Window, data: Uint8Array, pin: boolean): void {
    let masked = false;
    for (const object of objectsOf(data)) {
      window.revealHead(object);
      const { tag, value } = object;
      if (tag === objectTags.expected || tag === objectTags.status) window.revealPart(value);
      else if (tag === objectTags.encrypted || tag === objectTags.encryptedOdd) {
        if (this.#keep && !pin) window.revealPart(value);
        else masked = true;
      } else if (tag === objectTags.mac) {
        if (this.#keep && !masked) window.revealPart(value);
      } else masked = true;
    }
  }
}
