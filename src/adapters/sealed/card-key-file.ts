import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
} from 'node:crypto';
import { z } from 'zod';
import { equalConstantTime } from '#core/bytes/bytes.ts';
import type { CardKeys } from '#core/card/keys.ts';
import { Fault } from '#core/fault.ts';

/** Names a card: by profile, key version and diversifier. */
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
const lookupLength = 16;
const tagLength = 16;
const macLength = 32;
const headerLimit = 4_096;

/** Bytes of a record: what it is found by, then its length byte and two keys encrypted, then the tag. */
const recordLength = (keyLength: number): number => lookupLength + 1 + 2 * keyLength + tagLength;

interface FileKeys {
  readonly record: Uint8Array;
  readonly lookup: Uint8Array;
  readonly mac: Uint8Array;
}

/** ECDH P-256 of a key made for this file with the terminal's; HKDF-SHA-256 over both public keys. */
function fileKeys(privateKey: KeyObject, publicKey: KeyObject, publicKeys: readonly Uint8Array[]): FileKeys {
  const shared = diffieHellman({ privateKey, publicKey });
  const salt = createHash('sha256').update(Buffer.concat(publicKeys)).digest();
  const derived = new Uint8Array(hkdfSync('sha256', shared, salt, 'kazasu card keys 1', 96));
  shared.fill(0);
  return { record: derived.subarray(0, 32), lookup: derived.subarray(32, 64), mac: derived.subarray(64) };
}

const spki = (key: KeyObject): Uint8Array => key.export({ format: 'der', type: 'spki' });

/** What a record is found by: it tells nobody without the key which cards are in the file. */
function lookupOf(key: Uint8Array, { profileId, keyVersion, diversifier }: CardName): Uint8Array {
  return createHmac('sha256', key)
    .update(`${profileId}\0${keyVersion}\0`)
    .update(diversifier)
    .digest()
    .subarray(0, lookupLength);
}

function nonceOf(position: number): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeUInt32BE(position, 8);
  return nonce;
}

/**
 * Collects the keys of cards into a file that one terminal alone can read: AES-256-GCM a record under keys agreed
 * with its public key, records in the order of what they are found by, and a MAC over the whole.
 */
export class CardKeyWriter {
  readonly #recipient: KeyObject;
  readonly #keys: FileKeys;
  readonly #ephemeralKey: string;
  readonly #cards = new Map<string, CardKeys>();

  /** `recipient`: the terminal's public key, ECDH P-256. */
  constructor(recipient: KeyObject) {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    this.#recipient = recipient;
    this.#ephemeralKey = Buffer.from(spki(publicKey)).toString('base64');
    this.#keys = fileKeys(privateKey, recipient, [spki(publicKey), spki(recipient)]);
  }

  /** Takes the keys of a card; of one named twice, the first. Returns whether it was new. */
  add(card: CardName, keys: CardKeys): boolean {
    const lookup = Buffer.from(lookupOf(this.#keys.lookup, card)).toString('latin1');
    if (this.#cards.has(lookup)) return false;
    this.#cards.set(lookup, keys);
    return true;
  }

  /** The file; every key it was given is zeroed. */
  finish(about: Pick<CardKeyHeader, 'terminal' | 'exportId' | 'exportedAt'>): Uint8Array {
    const cards = [...this.#cards].sort(([a], [b]) => (a < b ? -1 : 1));
    const keyLength = cards.reduce((longest, [, keys]) => Math.max(longest, keys.encryption.length), 16);
    const header: CardKeyHeader = {
      format: 'kazasu-card-keys',
      formatVersion: 1,
      ...about,
      count: cards.length,
      keyLength,
      ephemeralKey: this.#ephemeralKey,
    };
    const records = Buffer.concat(
      cards.map(([lookup, keys], position) =>
        this.#record(Buffer.from(lookup, 'latin1'), keys, position, keyLength),
      ),
    );
    const text = Buffer.from(JSON.stringify(header));
    const prefix = Buffer.alloc(magic.length + 2);
    magic.copy(prefix);
    prefix.writeUInt16BE(text.length, magic.length);
    const mac = macOf(this.#keys, spki(this.#recipient), [prefix, text, records]);
    zero(this.#keys);
    return Buffer.concat([prefix, text, mac, records]);
  }

  #record(lookup: Uint8Array, { encryption, mac }: CardKeys, position: number, keyLength: number): Buffer {
    const plain = Buffer.alloc(1 + 2 * keyLength);
    plain[0] = encryption.length;
    plain.set(encryption, 1);
    plain.set(mac, 1 + keyLength);
    encryption.fill(0);
    mac.fill(0);
    const cipher = createCipheriv('aes-256-gcm', this.#keys.record, nonceOf(position)).setAAD(lookup);
    const sealed = Buffer.concat([lookup, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
    plain.fill(0);
    return sealed;
  }
}

/** The keys of cards as a terminal has them in memory: encrypted, but for those of the card that is asked for. */
export class CardKeyTable {
  readonly header: CardKeyHeader;
  readonly #keys: FileKeys;
  readonly #records: Uint8Array;

  private constructor(header: CardKeyHeader, keys: FileKeys, records: Uint8Array) {
    this.header = header;
    this.#keys = keys;
    this.#records = records;
  }

  /**
   * Reads a file with the terminal's private key, wholly checked.
   *
   * @throws Fault `key-file-invalid` for one that is damaged, cut, changed, or for another terminal
   */
  static open(content: Uint8Array, privateKey: KeyObject, name: string): CardKeyTable {
    const { header, prefixAndText, mac, records } = parse(content, name);
    const publicKey = createPublicKey(privateKey);
    let keys: FileKeys;
    try {
      const ephemeral = createPublicKey({
        key: Buffer.from(header.ephemeralKey, 'base64'),
        format: 'der',
        type: 'spki',
      });
      keys = fileKeys(privateKey, ephemeral, [spki(ephemeral), spki(publicKey)]);
    } catch (cause) {
      throw damaged(name, cause);
    }
    if (!equalConstantTime(mac, macOf(keys, spki(publicKey), [prefixAndText, records]))) {
      zero(keys);
      throw damaged(name);
    }
    return new CardKeyTable(header, keys, records);
  }

  /** The keys of a card, or undefined where it is not among those of the file. The receiver zeroes them. */
  find(card: CardName): CardKeys | undefined {
    const wanted = lookupOf(this.#keys.lookup, card);
    const { count, keyLength } = this.header;
    const length = recordLength(keyLength);
    let [low, high] = [0, count - 1];
    while (low <= high) {
      const middle = (low + high) >> 1;
      const record = this.#records.subarray(middle * length, (middle + 1) * length);
      const order = Buffer.compare(record.subarray(0, lookupLength), wanted);
      if (order === 0) return this.#openRecord(record, middle);
      if (order < 0) low = middle + 1;
      else high = middle - 1;
    }
    return undefined;
  }

  /** Zeroes what the records are read with. */
  close(): void {
    zero(this.#keys);
    this.#records.fill(0);
  }

  #openRecord(record: Uint8Array, position: number): CardKeys {
    const { keyLength } = this.header;
    const decipher = createDecipheriv('aes-256-gcm', this.#keys.record, nonceOf(position))
      .setAAD(record.subarray(0, lookupLength))
      .setAuthTag(record.subarray(-tagLength));
    const plain = decipher.update(record.subarray(lookupLength, -tagLength));
    decipher.final();
    const length = plain[0] ?? 0;
    const keys = {
      encryption: new Uint8Array(plain.subarray(1, 1 + length)),
      mac: new Uint8Array(plain.subarray(1 + keyLength, 1 + keyLength + length)),
    };
    plain.fill(0);
    return keys;
  }
}

function parse(content: Uint8Array, name: string) {
  const bytes = Buffer.from(content.buffer, content.byteOffset, content.length);
  const textAt = magic.length + 2;
  if (bytes.length < textAt || !bytes.subarray(0, 4).equals(magic.subarray(0, 4))) throw damaged(name);
  if (bytes[4] !== magic[4]) {
    throw new Fault('key-file-invalid', `${name} was written by another version of Kazasu`);
  }
  const textLength = bytes.readUInt16BE(magic.length);
  const macAt = textAt + textLength;
  if (textLength > headerLimit || bytes.length < macAt + macLength) throw damaged(name);
  let header: CardKeyHeader;
  try {
    header = headerSchema.parse(JSON.parse(bytes.toString('utf8', textAt, macAt)));
  } catch {
    throw damaged(name);
  }
  const records = bytes.subarray(macAt + macLength);
  if (records.length !== header.count * recordLength(header.keyLength)) throw damaged(name);
  return {
    header,
    prefixAndText: bytes.subarray(0, macAt),
    mac: bytes.subarray(macAt, macAt + macLength),
    records,
  };
}

function macOf({ mac }: FileKeys, recipient: Uint8Array, parts: readonly Uint8Array[]): Uint8Array {
  const hmac = createHmac('sha256', mac).update(recipient);
  for (const part of parts) hmac.update(part);
  return hmac.digest();
}

function damaged(name: string, cause?: unknown): Fault {
  return new Fault(
    'key-file-invalid',
    `${name} is damaged, not complete, or was made for another terminal; export it again for this one`,
    { cause },
  );
}

function zero({ record, lookup, mac }: FileKeys): void {
  for (const key of [record, lookup, mac]) key.fill(0);
}
