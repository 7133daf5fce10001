import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { toHex } from '#core/bytes/bytes.ts';
import { checkpointBytes } from '#core/journal/checkpoint.ts';
import { chainEntry, noPrevious } from '#core/journal/entry.ts';
import type { JournalHead, JournalRecord } from '#core/journal/record.ts';
import type { JournalItem } from '#core/journal/verify.ts';

const pair = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
export const publicKey = new Uint8Array(pair.publicKey.export({ format: 'der', type: 'spki' }));
const keyId = createHash('sha256').update(publicKey).digest('hex').toUpperCase();

export function sampleRecord(index: number): JournalRecord {
  return {
    kind: index % 3 === 0 ? 'door' : 'decision',
    atMs: 1_775_000_000_000 + index * 1000,
    monotonicUs: index * 1_000_000,
    bootId: 'boot',
    clock: 'trusted',
    body: { doorId: 'north', index },
    ...(index % 3 === 0 ? {} : { personal: { userNumber: `A${index}` } }),
  };
}

/** A journal of `count` entries made by the product's own functions, with a checkpoint behind every `every` entries. */
export function sampleJournal(count: number, every = 5, incarnation = 'first'): JournalItem[] {
  const items: JournalItem[] = [{ kind: 'key', publicKey }];
  let previous = noPrevious;
  for (let sequence = 1; sequence <= count; sequence += 1) {
    const position = { terminal: 'gate', incarnation, sequence };
    const entry = chainEntry(sampleRecord(sequence), position, previous, () => salt(sequence));
    previous = toHex(entry.hash);
    items.push({ kind: 'entry', ...entry });
    if (sequence % every === 0) items.push(signedCheckpoint({ ...position, hash: previous }));
  }
  return items;
}

export function signedCheckpoint(head: JournalHead): JournalItem {
  const raw = checkpointBytes(head, 1_775_000_000_000, keyId);
  const signature = sign('sha256', raw, { key: pair.privateKey, dsaEncoding: 'ieee-p1363' });
  return { kind: 'checkpoint', raw, signature: new Uint8Array(signature) };
}

function salt(sequence: number): Uint8Array {
  return new Uint8Array(createHash('md5').update(`salt ${sequence}`).digest());
}
