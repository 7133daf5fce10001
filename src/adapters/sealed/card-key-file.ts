import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
} from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { z } from 'zod';
import { type CardKeys, zeroCardKeys } from '#core/card/keys.ts';
import { Fault } from '#core/fault.ts';

/** Names a card: by profile, key version and diversifier (1 to 30 bytes). */
export interface CardName {
  readonly profileId: string;
  readonly keyVersion: number;
  readonly diversifier: Uint8Array;
}

/** What a file of card keys tells in clear, authenticated. */
const headerSchema = z.strictObject({
  format: z.literal('kazasu-card-keys'),
  formatVersion: z.literal(1),
  /** name of the terminal it is for */
  terminal: z.string(),
  /** names this export in the centre's register */
  exportId: z.string(),
  exportedAt: z.iso.datetime(),
  count: z.int().min(0),
  /** length of the longest key in bytes */
  keyLength: z.int().min(16).max(32),
  /** SubjectPublicKeyInfo made for this file alone, base64 */
  ephemeralKey: z.base64(),
});
export type CardKeyHeader = z.output<typeof headerSchema>;

const magic = Buffer.from('KZCK\u0001', 'latin1');
const tagLength = 16;
const headerLimit = 4_096;
const longestDiversifier = 30;
/** Bytes that name a card: place of its profile in the list, key version, length of the diversifier, diversifier. */
const nameLength = 3 + longestDiversifier;
/** The key of a file serves that file alone, and so its one message: any fixed nonce will do. */
const nonce = Buffer.alloc(12);

/** Bytes of a record: its card's name, the length of a key, and two keys. */
const recordLength = (keyLength: number): number => nameLength + 1 + 2 * keyLength;

/** what is decrypted in one go, in bytes: about 1 ms on a small device */
const pieceLength = 2 ** 18;

/** What is encrypted: the length of the profile list, the list (JSON), and records in the order of their names. */
const listLengthBytes = 4;
const mostProfiles = 256;
const profileListSchema = z.array(z.string().min(1)).max(mostProfiles);

/** ECDH P-256 of a key made for this file with the terminal's; HKDF-SHA-256 over both public keys. */
function fileKey(privateKey: KeyObject, publicKey: KeyObject, publicKeys: readonly Uint8Array[]): Uint8Array {
  const shared = diffieHellman({ privateKey, publicKey });
  const salt = createHash('sha256').update(Buffer.concat(publicKeys)).digest();
  const derived = new Uint8Array(hkdfSync('sha256', shared, salt, 'kazasu card keys 1', 32));
  shared.fill(0);
  return derived;
}

const spki = (key: KeyObject): Uint8Array => key.export({ format: 'der', type: 'spki' });

/** The name of a card in a file whose list has its profile at `profile`. */
function nameOf(profile: number, { keyVersion, diversifier }: CardName): Buffer {
  if (diversifier.length > longestDiversifier) throw new TypeError('a diversifier has at most 30 bytes');
  const name = Buffer.alloc(nameLength);
  name.set([profile, keyVersion, diversifier.length]);
  name.set(diversifier, 3);
  return name;
}

/**
 * Collects the keys of cards into a file that one terminal alone can read: AES-256-GCM under a key agreed with its
 * public key. In clear it tells how many cards it has, and not which.
 */
export class CardKeyWriter {
  readonly #recipient: KeyObject;
  readonly #profiles: string[] = [];
  readonly #cards = new Map<string, { readonly name: Buffer; readonly keys: CardKeys }>();
  #closed = false;

  /** `recipient`: the terminal's public key, ECDH P-256. */
  constructor(recipient: KeyObject) {
    this.#recipient = recipient;
  }

  /** Takes the keys of a card, to zero them; of one named twice, the first count. Returns whether it was new. */
  add(card: CardName, keys: CardKeys): boolean {
    if (!this.#profiles.includes(card.profileId)) this.#profiles.push(card.profileId);
    if (this.#profiles.length > mostProfiles) throw new TypeError('too many profiles for one file');
    const name = nameOf(this.#profiles.indexOf(card.profileId), card);
    const key = name.toString('latin1');
    if (this.#closed || this.#cards.has(key)) {
      zeroCardKeys(keys);
      return false;
    }
    this.#cards.set(key, { name, keys });
    return true;
  }

  /** Zeroes every key it was given, and those it is given yet. */
  close(): void {
    this.#closed = true;
    for (const { keys } of this.#cards.values()) zeroCardKeys(keys);
  }

  /** The file. Closes the writer, whatever happens. */
  finish(about: Pick<CardKeyHeader, 'terminal' | 'exportId' | 'exportedAt'>): Uint8Array {
    try {
      return this.#sealed(about);
    } finally {
      this.close();
    }
  }

  #sealed(about: Pick<CardKeyHeader, 'terminal' | 'exportId' | 'exportedAt'>): Uint8Array {
    const cards = [...this.#cards.values()].sort((a, b) => Buffer.compare(a.name, b.name));
    const keyLength = cards.reduce((longest, { keys }) => Math.max(longest, keys.encryption.length), 16);
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const header: CardKeyHeader = {
      format: 'kazasu-card-keys',
      formatVersion: 1,
      ...about,
      count: cards.length,
      keyLength,
      ephemeralKey: Buffer.from(spki(publicKey)).toString('base64'),
    };
    const text = Buffer.from(JSON.stringify(header));
    const length = Buffer.alloc(2);
    length.writeUInt16BE(text.length);
    const clear = Buffer.concat([magic, length, text]);
    const key = fileKey(privateKey, this.#recipient, [spki(publicKey), spki(this.#recipient)]);
    const plain = this.#plain(cards, keyLength);
    try {
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(clear);
      return Buffer.concat([clear, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
    } finally {
      key.fill(0);
      plain.fill(0);
    }
  }

  #plain(cards: readonly { readonly name: Buffer; readonly keys: CardKeys }[], keyLength: number): Buffer {
    const list = Buffer.from(JSON.stringify(this.#profiles));
    const plain = Buffer.alloc(listLengthBytes + list.length + cards.length * recordLength(keyLength));
    plain.writeUInt32BE(list.length);
    plain.set(list, listLengthBytes);
    let at = listLengthBytes + list.length;
    for (const { name, keys } of cards) {
      plain.set(name, at);
      plain[at + nameLength] = keys.encryption.length;
      plain.set(keys.encryption, at + nameLength + 1);
      plain.set(keys.mac, at + nameLength + 1 + keyLength);
      at += recordLength(keyLength);
    }
    return plain;
  }
}

/** The keys of cards as a terminal has them in memory, found without computing anything: a card is waiting. */
export class CardKeyTable {
  readonly header: CardKeyHeader;
  /** place in the list, by profile */
  readonly #profiles: ReadonlyMap<string, number>;
  readonly #records: Buffer;

  private constructor(header: CardKeyHeader, profiles: readonly string[], records: Buffer) {
    this.header = header;
    this.#profiles = new Map(profiles.map((profile, place) => [profile, place]));
    this.#records = records;
  }

  /**
   * Reads a file with the terminal's private key, wholly checked, in pieces that hold up no tap meanwhile. Rejects
   * with a Fault `key-file-invalid` for one that is damaged, cut, changed, or for another terminal.
   */
  static async open(content: Uint8Array, privateKey: KeyObject, name: string): Promise<CardKeyTable> {
    const { header, clear, sealed, tag } = parse(content, name);
    let plain: Buffer | undefined;
    try {
      const ephemeral = createPublicKey({
        key: Buffer.from(header.ephemeralKey, 'base64'),
        format: 'der',
        type: 'spki',
      });
      const key = fileKey(privateKey, ephemeral, [spki(ephemeral), spki(createPublicKey(privateKey))]);
      const decipher = createDecipheriv('aes-256-gcm', key, nonce).setAAD(clear).setAuthTag(tag);
      key.fill(0);
      plain = Buffer.alloc(sealed.length);
      for (let at = 0; at < sealed.length; at += pieceLength) {
        const piece = decipher.update(sealed.subarray(at, at + pieceLength));
        plain.set(piece, at);
        piece.fill(0);
        await setImmediate();
      }
      decipher.final();
      const recordsAt = listLengthBytes + plain.readUInt32BE();
      const profiles = profileListSchema.parse(
        JSON.parse(plain.toString('utf8', listLengthBytes, recordsAt)),
      );
      const records = plain.subarray(recordsAt);
      if (records.length !== header.count * recordLength(header.keyLength)) throw damaged(name);
      return new CardKeyTable(header, profiles, records);
    } catch (cause) {
      plain?.fill(0);
      throw damaged(name, cause);
    }
  }

  /** The keys of a card, or undefined where it is not among those of the file. The receiver zeroes them. */
  find(card: CardName): CardKeys | undefined {
    const profile = this.#profiles.get(card.profileId);
    if (profile === undefined || card.diversifier.length > longestDiversifier) return undefined;
    const wanted = nameOf(profile, card);
    const { count, keyLength } = this.header;
    const length = recordLength(keyLength);
    let [low, high] = [0, count - 1];
    while (low <= high) {
      const middle = (low + high) >> 1;
      const at = middle * length;
      const order = this.#records.compare(wanted, 0, nameLength, at, at + nameLength);
      if (order === 0) return keysOf(this.#records.subarray(at + nameLength, at + length), keyLength);
      if (order < 0) low = middle + 1;
      else high = middle - 1;
    }
    return undefined;
  }

  /** Zeroes the keys. */
  close(): void {
    this.#records.fill(0);
  }
}

function keysOf(record: Uint8Array, keyLength: number): CardKeys {
  const length = record[0] ?? 0;
  return {
    encryption: new Uint8Array(record.subarray(1, 1 + length)),
    mac: new Uint8Array(record.subarray(1 + keyLength, 1 + keyLength + length)),
  };
}

function parse(content: Uint8Array, name: string) {
  const bytes = Buffer.from(content.buffer, content.byteOffset, content.length);
  const textAt = magic.length + 2;
  if (bytes.length < textAt || !bytes.subarray(0, 4).equals(magic.subarray(0, 4))) throw damaged(name);
  if (bytes[4] !== magic[4]) {
    throw new Fault('key-file-invalid', `${name} was written by another version of Kazasu`);
  }
  const textLength = bytes.readUInt16BE(magic.length);
  const sealedAt = textAt + textLength;
  if (textLength > headerLimit || bytes.length < sealedAt + tagLength) throw damaged(name);
  let header: CardKeyHeader;
  try {
    header = headerSchema.parse(JSON.parse(bytes.toString('utf8', textAt, sealedAt)));
  } catch {
    throw damaged(name);
  }
  const clear = bytes.subarray(0, sealedAt);
  return { header, clear, sealed: bytes.subarray(sealedAt, -tagLength), tag: bytes.subarray(-tagLength) };
}

function damaged(name: string, cause?: unknown): Fault {
  return new Fault(
    'key-file-invalid',
    `${name} is damaged, not complete, or was made for another terminal; export it again for this one`,
    { cause },
  );
}
