import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { Pkcs11Vault } from '#adapters/pkcs11/pkcs11-vault.ts';
import { CardKeyWriter } from '#adapters/sealed/card-key-file.ts';
import { makeReceivingKey, receiverKey } from '#adapters/sealed/receiving-key.ts';
import { SealedCardKeys } from '#adapters/sealed/sealed-card-keys.ts';
import { fromHex } from '#core/bytes/bytes.ts';
import type { CardProfile } from '#core/card/profile.ts';
import type { CardOutcome } from '#core/card/reading.ts';
import type { KeyDerivation } from '#ports/key-derivation.ts';
import { readTestKeys, TestKeys } from '#simulators/card/test-keys.ts';
import { loadCardProfile } from '#terminal/config.ts';
import { deckCard, deckFile, profileFile } from '../contracts/deck.ts';
import { makeSoftToken, type SoftToken, softHsm } from '../contracts/soft-token.ts';
import { emulate, kazasu } from './kazasu-process.ts';
import { openPcscdFixture, type PcscdFixture, readerNames } from './pcscd-fixture.ts';

let fixture: PcscdFixture;
let profiles: readonly CardProfile[];
beforeAll(async () => {
  fixture = await openPcscdFixture();
  profiles = await Promise.all(
    ['synthetic-type-d', 'synthetic-type-a'].map((name) => loadCardProfile(profileFile(name))),
  );
});
afterAll(() => fixture.close());
afterEach(() => vi.unstubAllEnvs());

/** Holds a card of the deck to the first reader, read with `keys`. One that was there before may still be seen to leave. */
async function tap(keys: KeyDerivation, card: string): Promise<CardOutcome> {
  const profileIds = profiles.map(({ id }) => id);
  const readers = await fixture.readers({
    keys,
    profiles: [...profiles],
    allowed: [{ readerName: readerNames[0], profileIds }],
    apduDeadlineMs: 2_000,
    tapDeadlineMs: 5_000,
  });
  try {
    let presented: ((outcome: CardOutcome) => void) | undefined;
    const outcome = new Promise<CardOutcome>((resolve) => {
      presented = resolve;
    });
    await readers.start({
      readerChanged: () => undefined,
      cardDetected: () => undefined,
      cardClaimed: () => undefined,
      cardPresented: (held) => {
        if (held.outcome.kind !== 'removed') presented?.(held.outcome);
      },
      cardRemoved: () => undefined,
    });
    fixture.link(readerNames[0]).insert(await deckCard(card));
    return await outcome;
  } finally {
    fixture.removeCards();
    await readers.stop();
  }
}

const reading = (keyVersion: number, profileId: string) => ({
  kind: 'reading',
  reading: { profileId, keyVersion, assurance: expect.arrayContaining(['mutual-authentication']) },
});

describe('with the master keys in a token (SoftHSM2)', () => {
  let token: SoftToken;
  beforeAll(async () => {
    token = await makeSoftToken();
  });
  afterAll(() => token.remove());

  test('cards of both key versions and of Type D are read, and an absent key is told', async () => {
    vi.stubEnv('SOFTHSM2_CONF', token.configuration);
    const { label, pinFile, directory } = token;
    const vault = new Pkcs11Vault({ module: softHsm, token: label, pinFile, directory, timeoutMs: 2_000 });
    await vault.start();
    try {
      for (const key of await readTestKeys()) await vault.add({ ...key, key: key.key.slice() });
      expect(await tap(vault, 'employee')).toMatchObject(reading(1, 'synthetic-type-a'));
      expect(await tap(vault, 'employee-new-key')).toMatchObject(reading(2, 'synthetic-type-a'));
      expect(await tap(vault, 'employee-type-d')).toMatchObject(reading(1, 'synthetic-type-d'));
      await vault.destroy({ profileId: 'synthetic-type-a', version: 2 });
      expect(await tap(vault, 'employee-new-key')).toMatchObject({
        kind: 'refused',
        fault: { code: 'card-key-missing' },
      });
    } finally {
      await vault.stop();
    }
  });

  test('a command reads a card with them', async () => {
    vi.stubEnv('SOFTHSM2_CONF', token.configuration);
    const source = join(token.folder, 'keys.yaml');
    const paths = 'pinFile: pin\ndirectory: tries\n';
    await writeFile(source, `kind: pkcs11\nmodule: ${softHsm}\ntoken: ${token.label}\n${paths}`);
    const card = await emulate(deckFile('employee'));
    const words = ['card', 'read', '--profile', profileFile('synthetic-type-a'), '--keys', source, '--wait'];
    expect(await kazasu(...words)).toMatchObject({ code: 0, stdout: expect.stringContaining('E00012345') });
    await card.stop();
  });
});

test('with the keys of its cards alone, a terminal reads those and no other card', async () => {
  const directory = join(fixture.folder, 'card-keys');
  await mkdir(directory);
  await writeFile(join(fixture.folder, 'sealing'), new Uint8Array(32).fill(3), { mode: 0o600 });
  vi.stubEnv('CREDENTIALS_DIRECTORY', fixture.folder);
  const sealing = { credential: 'sealing' };
  const receiver = await makeReceivingKey(directory, { sealing, terminal: 'entrance' });
  const writer = new CardKeyWriter(receiverKey(receiver));
  const card = { profileId: 'synthetic-type-a', keyVersion: 1, diversifier: fromHex('4B415A41535500000001') };
  const masters = new TestKeys(await readTestKeys());
  writer.add(card, await masters.cardKeys({ ...card, diversification: 'an10922' }));
  const keys = new SealedCardKeys({ directory, sealing });
  await keys.install(
    writer.finish({ terminal: 'entrance', exportId: 'x', exportedAt: '2026-11-22T00:00:00Z' }),
  );
  await keys.start();
  try {
    expect(await tap(keys, 'employee')).toMatchObject(reading(1, 'synthetic-type-a'));
    expect(await tap(keys, 'employee-new-key')).toMatchObject({
      kind: 'refused',
      fault: { code: 'card-key-missing' },
      namedKey: { profileId: 'synthetic-type-a', keyVersion: 2 },
    });
    await keys.erase();
    expect(await tap(keys, 'employee')).toMatchObject({
      kind: 'refused',
      fault: { code: 'key-unavailable' },
    });
  } finally {
    await keys.stop();
    await rm(directory, { recursive: true, force: true });
  }
});
