import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { fromBase64, toBase64 } from '#core/bytes/base64.ts';
import { toHex } from '#core/bytes/bytes.ts';
import { parseDevicePublicKey } from '#core/crypto/device-signature.ts';
import { documentBytes, readDocument } from '#core/sync/document.ts';
import {
  decodeSigned,
  encodeSigned,
  isSignedByRole,
  type RoleKeys,
  signDocument,
} from '#core/sync/signed.ts';
import { eachBitTurned, makeKey, type TestKey } from './keys.ts';

const keys = [makeKey(), makeKey(), makeKey()] as const;
const raw = documentBytes({ type: 'test', says: 'open' });

function roleOf(threshold: number, members: readonly TestKey[] = keys): RoleKeys {
  const parsed = members.map(({ keyId, spki }) => [keyId(), parseDevicePublicKey(spki)] as const);
  return { threshold, keys: new Map(parsed.flatMap(([id, key]) => (key ? [[id, key]] : []))) };
}

function read(bytes: Uint8Array) {
  const decoded = decodeSigned(bytes);
  if (decoded.kind === 'refused') throw new Error(decoded.reason);
  return decoded.value;
}

describe('a signed document', () => {
  it('is believed once as many different keys as it takes have signed', async () => {
    for (const [signers, threshold, believed] of [
      [[], 1, false],
      [[keys[0]], 1, true],
      [[keys[0]], 2, false],
      [[keys[0], keys[2]], 2, true],
      [[keys[0], keys[1], keys[2]], 3, true],
    ] as const) {
      expect(isSignedByRole(await signDocument(raw, signers), roleOf(threshold))).toBe(believed);
    }
  });

  it('counts a key once, however often it signs', async () => {
    // each signature of one key differs, for ECDSA takes a random number
    const twice = await signDocument(raw, [keys[0], keys[0]]);
    expect(new Set(twice.signatures.map(({ signature }) => toHex(signature))).size).toBe(2);
    expect(isSignedByRole(twice, roleOf(2))).toBe(false);
  });

  it('counts neither a stranger nor a signature under the name of another key', async () => {
    const stranger = makeKey();
    const { signatures } = await signDocument(raw, [stranger]);
    expect(isSignedByRole({ raw, signatures }, roleOf(1))).toBe(false);
    const renamed = signatures.map(({ signature }) => ({ keyId: keys[0].keyId(), signature }));
    expect(isSignedByRole({ raw, signatures: renamed }, roleOf(1))).toBe(false);
  });

  it('is not refused for a wrong signature beside enough right ones', async () => {
    const { signatures } = await signDocument(raw, [keys[0]]);
    const wrong = { keyId: keys[1].keyId(), signature: new Uint8Array(64) };
    expect(isSignedByRole({ raw, signatures: [wrong, ...signatures] }, roleOf(1))).toBe(true);
  });

  it('believes nobody where a role takes no signature', () => {
    expect(isSignedByRole({ raw, signatures: [] }, { threshold: 0, keys: new Map() })).toBe(false);
  });

  it('is not believed with any of its bits turned, as sent', async () => {
    const sent = encodeSigned(await signDocument(raw, [keys[0], keys[1]]));
    const role = roleOf(2);
    expect(isSignedByRole(read(sent), role)).toBe(true);
    for (const turned of eachBitTurned(sent)) {
      const decoded = decodeSigned(turned);
      const believed = decoded.kind === 'accepted' && isSignedByRole(decoded.value, role);
      expect(believed).toBe(false);
    }
  });

  it('is sent and read as it was', () => {
    const signature = fc.record({
      keyId: fc.uint8Array({ minLength: 32, maxLength: 32 }).map(toHex),
      signature: fc.uint8Array({ minLength: 64, maxLength: 64 }),
    });
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.array(signature, { maxLength: 4 }),
        (payload, signatures) => {
          expect(read(encodeSigned({ raw: payload, signatures }))).toEqual({ raw: payload, signatures });
        },
      ),
      { numRuns: 200 },
    );
  });

  it('is refused in another format, too large, or malformed, and never throws', () => {
    const text = (value: string) => decodeSigned(new TextEncoder().encode(value));
    expect(text('{"format":2,"whatever":true}')).toEqual({ kind: 'refused', reason: 'format-unknown' });
    expect(decodeSigned(new Uint8Array(2_000_000))).toEqual({ kind: 'refused', reason: 'oversize' });
    for (const malformed of [
      '',
      'null',
      '[]',
      '{"format":1}',
      '{"format":"2"}',
      '{"format":1,"payload":"AA==","signatures":[],"more":1}',
      '{"format":1,"payload":"AB==","signatures":[]}',
      '{"format":1,"payload":"A A=","signatures":[]}',
      ' {"format":1,"payload":"AA==","signatures":[]}',
      '{"payload":"AA==","format":1,"signatures":[]}',
      '{"format":1,"format":1,"payload":"AA==","signatures":[]}',
      '{"format":1,"payload":"AA==","signatures":[{"keyId":"00","signature":""}]}',
    ])
      expect(text(malformed)).toEqual({ kind: 'refused', reason: 'malformed' });
    expect(decodeSigned(new Uint8Array([0xef, 0xbb, 0xbf, 0x7b, 0x7d])).kind).toBe('refused');
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(decodeSigned(bytes).kind).toBe('refused');
      }),
      { numRuns: 200 },
    );
  });
});

describe('base64', () => {
  it('goes there and back, and is none where it is none', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 20_000 }), (bytes) => {
        expect(fromBase64(toBase64(bytes))).toEqual(bytes);
        expect(toBase64(bytes)).toBe(Buffer.from(bytes).toString('base64'));
      }),
      { numRuns: 50 },
    );
    expect(fromBase64('%')).toBeUndefined();
  });
});

describe('the bytes of a document', () => {
  it('are the only ones that are read as it', () => {
    const schema = z.strictObject({ format: z.literal(1), name: z.string() });
    const kind = { schema, format: 1, maximumBytes: 1_000 };
    const bytes = documentBytes({ name: 'b', format: 1 });
    expect(readDocument(bytes, kind)).toEqual({ kind: 'accepted', value: { format: 1, name: 'b' } });
    const escaped = new TextEncoder().encode('{"format":1,"name":"\\u0062"}');
    expect(readDocument(escaped, kind)).toEqual({ kind: 'refused', reason: 'malformed' });
    const tooLarge = { ...kind, maximumBytes: bytes.length - 1 };
    expect(readDocument(bytes, tooLarge)).toEqual({ kind: 'refused', reason: 'oversize' });
  });
});
