import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toHex } from '#core/bytes/bytes.ts';
import { pack, unpack } from '#core/compression/packing.ts';
import { canonicalJson } from '#core/journal/canonical-json.ts';
import { noPrevious } from '#core/journal/entry.ts';
import type { JsonValue } from '#core/journal/record.ts';
import {
  decodeAcknowledgement,
  encodeAcknowledgement,
  type JournalAcknowledgement,
} from '#core/sync/journal-acknowledgement.ts';
import { decodeJournalBatch, type JournalBatch } from '#core/sync/journal-batch.ts';
import { encodeJournalBatch, maximumUnpackedBytes } from '#core/sync/journal-batch-writing.ts';
import { maxPayloadBytes } from '#core/sync/topics.ts';
import { sampleJournal } from '../journal/sample-journal.ts';
import { eachBitTurned } from './keys.ts';

const from = { organization: 'city', terminal: 'gate' };
const items = sampleJournal(20);
const batch: JournalBatch = {
  ...from,
  incarnation: 'first',
  first: 1,
  oldestKept: 1,
  after: null,
  entries: items.flatMap((item) =>
    item.kind === 'entry' ? [{ raw: item.raw, personal: item.personal }] : [],
  ),
  checkpoints: items.flatMap((item) =>
    item.kind === 'checkpoint' ? [{ raw: item.raw, signature: item.signature }] : [],
  ),
};
const malformed = { kind: 'refused', reason: 'malformed' };
const unpacked = () => unpack(encodeJournalBatch(batch), maximumUnpackedBytes) ?? new Uint8Array();
const document = (): { [key: string]: JsonValue } => JSON.parse(new TextDecoder().decode(unpacked()));
const packed = (value: JsonValue) => pack(new TextEncoder().encode(canonicalJson(value)));
const changed = (members: { [key: string]: JsonValue }) =>
  decodeJournalBatch(packed({ ...document(), ...members }), from);

const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(toHex);
const salt = fc.uint8Array({ minLength: 16, maxLength: 16 });
const text = fc.string({ unit: 'binary', maxLength: 40 });
const personal = fc.array(fc.record({ field: fc.constantFrom('userNumber', 'name-2'), salt, value: text }), {
  maxLength: 3,
});
const raw = fc.oneof(
  fc.uint8Array({ maxLength: 60 }),
  text.map((value) => new TextEncoder().encode(value)),
);
const anyBatch: fc.Arbitrary<JournalBatch> = fc
  .record({
    first: fc.integer({ min: 1, max: 1_000_000 }),
    behind: fc.nat(10),
    after: fc.option(
      fc.record({
        incarnation: fc.uuid(),
        sequence: fc.integer({ min: 9, max: 99 }),
        hash,
        oldestKept: fc.integer({ min: 1, max: 10 }),
      }),
    ),
    entries: fc.array(fc.record({ raw, personal }), { maxLength: 8 }),
    checkpoints: fc.array(
      fc.record({
        raw: fc.uint8Array({ maxLength: 60 }),
        signature: fc.uint8Array({ minLength: 64, maxLength: 64 }),
      }),
      { maxLength: 2 },
    ),
  })
  .map(({ first, behind, after, ...rest }) => ({
    ...from,
    ...rest,
    incarnation: 'first',
    first,
    oldestKept: Math.max(1, first - behind),
    after: first === 1 ? after : null,
  }));

describe('a batch of a journal', () => {
  it('arrives as it was sent, whatever its entries are', () => {
    fc.assert(
      fc.property(anyBatch, (sent) => {
        expect(decodeJournalBatch(encodeJournalBatch(sent), from)).toEqual({ kind: 'accepted', value: sent });
      }),
      { numRuns: 200 },
    );
  });

  it('is a fraction of what it holds', () => {
    const bytes = batch.entries.reduce((sum, entry) => sum + entry.raw.length, 0);
    expect(encodeJournalBatch(batch).length).toBeLessThan(bytes * 0.75);
  });

  it('is never read as another one, and is refused cut off anywhere or with anything behind it', () => {
    const sent = encodeJournalBatch(batch);
    for (const turned of eachBitTurned(sent, 7)) {
      const read = decodeJournalBatch(turned, from);
      // some bits of the header, and those that fill the last byte of what is packed, say nothing
      if (read.kind === 'accepted') expect(read.value).toEqual(batch);
    }
    for (let length = 0; length < sent.length; length += 13) {
      expect(decodeJournalBatch(sent.subarray(0, length), from)).toEqual(malformed);
    }
    expect(decodeJournalBatch(new Uint8Array([...sent, 0]), from)).toEqual(malformed);
  });

  it('is refused for any other bytes, and never throws', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(decodeJournalBatch(bytes, from)).toEqual(malformed);
        expect(decodeJournalBatch(pack(bytes), from)).toEqual(malformed);
      }),
      { numRuns: 200 },
    );
  });

  it('is refused when it is too large, before it is unpacked', () => {
    const reading = decodeJournalBatch(new Uint8Array(maxPayloadBytes + 1), from);
    expect(reading).toEqual({ kind: 'refused', reason: 'oversize' });
  });

  it('is refused when it unpacks to more than it may, without unpacking it', () => {
    const bomb = gzipSync(Buffer.alloc(200 * 1_048_576, ' '));
    expect(bomb.length).toBeLessThan(maxPayloadBytes);
    const before = process.memoryUsage().arrayBuffers + process.memoryUsage().external;
    expect(decodeJournalBatch(bomb, from)).toEqual(malformed);
    const after = process.memoryUsage().arrayBuffers + process.memoryUsage().external;
    expect(after - before).toBeLessThan(8 * maximumUnpackedBytes);
    expect(unpack(pack(new Uint8Array(100)), 100)?.length).toBe(100);
    expect(unpack(pack(new Uint8Array(101)), 100)).toBeUndefined();
  });

  it('is refused for another terminal or organization than the certificate names', () => {
    const sent = encodeJournalBatch(batch);
    const other = (changes: Partial<typeof from>) => decodeJournalBatch(sent, { ...from, ...changes });
    expect(other({ terminal: 'side' })).toEqual({ kind: 'refused', reason: 'other-terminal' });
    expect(other({ organization: 'town' })).toEqual({ kind: 'refused', reason: 'other-organization' });
  });

  it('is refused in a later format', () => {
    expect(changed({ format: 2, more: true })).toEqual({ kind: 'refused', reason: 'format-unknown' });
  });

  const salted = { field: 'a', salt: '00'.repeat(16), value: 'x' };
  it.each<[string, { [key: string]: JsonValue }]>([
    ['a member unknown', { more: true }],
    ['another type', { type: 'manifest' }],
    ['no first entry', { first: 0 }],
    ['an oldest entry behind the first', { oldestKept: 2 }],
    [
      'a predecessor in its middle',
      { first: 2, after: { incarnation: 'b', sequence: 1, hash: noPrevious, oldestKept: 1 } },
    ],
    [
      'a predecessor without an entry',
      { after: { incarnation: 'b', sequence: 0, hash: noPrevious, oldestKept: 1 } },
    ],
    ['an incarnation that is no name', { incarnation: 'a b' }],
    ['too many entries', { entries: Array.from({ length: 1_001 }, () => ({ text: '', personal: [] })) }],
    ['an entry without bytes', { entries: [{ personal: [] }] }],
    ['an entry with bytes twice', { entries: [{ text: '', bytes: '', personal: [] }] }],
    ['text written as bytes', { entries: [{ bytes: 'YQ==', personal: [] }] }],
    ['half a character', { entries: [{ text: '\ud800', personal: [] }] }],
    ['a short salt', { entries: [{ text: '', personal: [{ ...salted, salt: '00' }] }] }],
    ['a field that is no name', { entries: [{ text: '', personal: [{ ...salted, field: 'a\0' }] }] }],
    ['a short signature', { checkpoints: [{ raw: '', signature: '00' }] }],
  ])('is refused with %s', (_, members) => {
    expect(changed({})).toMatchObject({ kind: 'accepted' });
    expect(changed(members)).toEqual(malformed);
  });

  it('is not made of more than would be unpacked', () => {
    const large = { raw: new Uint8Array(maximumUnpackedBytes).fill(0x20), personal: [] };
    expect(() => encodeJournalBatch({ ...batch, entries: [large] })).toThrow(TypeError);
  });
});

describe('an acknowledgement', () => {
  const acknowledgement: JournalAcknowledgement = {
    ...from,
    position: { incarnation: 'first', sequence: 20, hash: noPrevious },
    signedThrough: 15,
    credit: 8,
    returnAfterMs: 0,
  };

  it('arrives as it was sent, with a position or a refusal', () => {
    const { position: _position, ...without } = acknowledgement;
    for (const sent of [acknowledgement, { ...without, refused: 'malformed' as const }]) {
      expect(decodeAcknowledgement(encodeAcknowledgement(sent), from)).toEqual({
        kind: 'accepted',
        value: sent,
      });
    }
  });

  it('is refused for another terminal, in a later format, or malformed', () => {
    const sent = encodeAcknowledgement(acknowledgement);
    const other = (changes: Partial<typeof from>) => decodeAcknowledgement(sent, { ...from, ...changes });
    expect(other({ terminal: 'side' })).toEqual({ kind: 'refused', reason: 'other-terminal' });
    expect(other({ organization: 'town' })).toEqual({ kind: 'refused', reason: 'other-organization' });
    const later = new TextEncoder().encode('{"format":2}');
    expect(decodeAcknowledgement(later, from)).toEqual({ kind: 'refused', reason: 'format-unknown' });
    expect(decodeAcknowledgement(new Uint8Array(5_000), from)).toEqual({
      kind: 'refused',
      reason: 'oversize',
    });
    for (let length = 0; length < sent.length; length += 1) {
      expect(decodeAcknowledgement(sent.subarray(0, length), from)).toEqual(malformed);
    }
    for (const changes of [{ credit: 0 }, { returnAfterMs: -1 }, { signedThrough: -1 }]) {
      const wrong = encodeAcknowledgement({ ...acknowledgement, ...changes });
      expect(decodeAcknowledgement(wrong, from)).toEqual(malformed);
    }
  });
});
