// the library finds its own parts by metadata of decorators, which this defines
import 'reflect-metadata';
import { createHash } from 'node:crypto';
import { Name, X509Certificate } from '@peculiar/x509';

/**
 * The file in which Erlang and OpenSSL look for the revocation list of an authority (DER of its certificate): the hash
 * of its subject in the form in which names are compared, as `openssl crl -hash` prints it.
 */
export function revocationListName(authority: Uint8Array): string {
  const parts = new X509Certificate(new Uint8Array(authority)).subjectName.toJSON();
  const compared = parts.map((part) =>
    Object.fromEntries(
      Object.entries(part).map(([type, values]) => [
        type,
        values.map((value) => ({ utf8String: plain(String(value)) })),
      ]),
    ),
  );
  const name = Buffer.from(new Name(compared).toArrayBuffer());
  // without the header of the sequence: two bytes, or one more for each byte of a longer length
  const long = name.readUInt8(1) & 0x80 ? name.readUInt8(1) & 0x7f : 0;
  const hash = createHash('sha1')
    .update(name.subarray(2 + long))
    .digest();
  return `${hash.readUInt32LE(0).toString(16).padStart(8, '0')}.r0`;
}

const plain = (text: string): string =>
  text
    .trim()
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase());
