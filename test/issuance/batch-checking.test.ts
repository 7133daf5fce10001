import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { lengthUnpacked, pack, unpack } from '#core/compression/packing.ts';
import { erasureBody } from '#core/journal/erasure.ts';
import { encodeJournalBatch } from '#core/sync/journal-batch-writing.ts';
import { checkSent, packResult, unpackResult } from '#issuance/journal/batch-checking.ts';
import { JournalDevice } from './journal-device.ts';

const device = new JournalDevice('lobby')
  .append(3)
  .append(1, { personal: { userNumber: 'A4', diversifier: '00' } })
  .append(1, { kind: 'terminal', body: erasureBody('lobby-1', [[1, 2]], 2), personal: {} })
  .appendRaw(new Uint8Array([255, 0]), new Uint8Array(32))
  .append(2);
const from = { organization: 'city', terminal: 'lobby' };

it('comes from another thread as it was checked there', async () => {
  const batches = [
    device.batch(),
    device.batch(9, 8, { checkpoints: [await device.checkpoint(3)] }),
    device.rewritten(2).batch(4, 8, { checkpoints: [await device.checkpoint(3)] }),
  ];
  for (const batch of batches) {
    const result = checkSent(from, encodeJournalBatch(batch), device.keys());
    expect(result.kind).toBe('checked');
    expect(unpackResult(structuredClone(packResult(result)))).toEqual(result);
  }
  const refused = checkSent(from, new Uint8Array(3), device.keys());
  expect(unpackResult(structuredClone(packResult(refused)))).toEqual({
    kind: 'refused',
    reason: 'malformed',
  });
});

it('unpacks to no more than it says beforehand', () => {
  const bytes = new Uint8Array(1_000).fill(7);
  const packed = pack(bytes);
  expect(lengthUnpacked(packed)).toBe(1_000);
  expect(unpack(packed, 1_000)).toEqual(bytes);
  expect(unpack(pack(new Uint8Array()), 1_000)).toEqual(new Uint8Array());
  // members of which the last alone says how long it is
  const several = Buffer.concat([gzipSync(bytes), gzipSync(bytes.subarray(0, 10))]);
  expect(lengthUnpacked(several)).toBe(10);
  expect(unpack(several, 100_000)).toBeUndefined();
  const liar = Buffer.from(packed);
  liar.writeUInt32LE(5_000, liar.length - 4);
  expect(unpack(liar, 100_000)).toBeUndefined();
  expect(lengthUnpacked(new Uint8Array(3))).toBe(0);
});
