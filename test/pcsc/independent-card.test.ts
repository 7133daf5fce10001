import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import type { PcscReaders } from '#adapters/pcsc/pcsc-readers.ts';
import { fromHex } from '#core/bytes/bytes.ts';
import { type CardProfile, parseCardProfile } from '#core/card/profile.ts';
import type { CardOutcome } from '#core/card/reading.ts';
import type { KeyDerivation } from '#ports/key-derivation.ts';
import { vpcdPort } from '#simulators/vpcd/vpcd-link.ts';
import { ReaderEvents } from '../contracts/reader-events.ts';
import { openPcscdFixture, type PcscdFixture, readerNames } from './pcscd-fixture.ts';
import { lines } from './travel-document/machine-readable-zone.ts';

/** Debian's python, which has its packages; another may come first in the path */
const python = '/usr/bin/python3';
const program = fileURLToPath(new URL('vicc-epass.py', import.meta.url));
const vectors = fileURLToPath(new URL('../vectors/icao-bac.json', import.meta.url));
const profileFile = fileURLToPath(new URL('travel-document/profile.yaml', import.meta.url));

/** The keys of the worked example for whatever card asks. */
async function passportKeys(): Promise<KeyDerivation> {
  const { kEnc, kMac } = JSON.parse(await readFile(vectors, 'utf8'));
  return { cardKeys: async () => ({ encryption: fromHex(kEnc), mac: fromHex(kMac) }) };
}

/** A card program not written here (see vicc-epass.py) in the first slot of vpcd. */
class IndependentCard {
  readonly #process: ChildProcess;
  /** rejects with what the program said when it ends without being removed */
  readonly failed: Promise<never>;
  #removed = false;

  constructor(machineReadableZone: string, ...options: readonly string[]) {
    const words = [program, String(vpcdPort), machineReadableZone, ...options];
    const child = spawn(python, words, { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.on('data', (chunk) => (said += chunk));
    this.#process = child;
    this.failed = new Promise((_, reject) =>
      child.once('close', () => {
        if (!this.#removed) reject(new Error(`${program} has ended:\n${said.slice(-1_000)}`));
      }),
    );
  }

  async remove(): Promise<void> {
    this.#removed = true;
    const ended = once(this.#process, 'close');
    this.#process.kill();
    await ended;
  }
}

describe('a card that is not ours', () => {
  let fixture: PcscdFixture;
  let profile: CardProfile;
  let readers: PcscReaders;
  let events: ReaderEvents;
  beforeAll(async () => {
    fixture = await openPcscdFixture();
    profile = parseCardProfile(parse(await readFile(profileFile, 'utf8')), profileFile);
  });
  afterAll(() => fixture.close());
  beforeEach(async () => {
    readers = await fixture.readers({
      allowed: [{ readerName: readerNames[0], profileIds: [profile.id] }],
      profiles: [profile],
      keys: await passportKeys(),
      apduDeadlineMs: 2_000,
      tapDeadlineMs: 5_000,
    });
    events = new ReaderEvents();
    await readers.start(events);
  });
  afterEach(() => readers.stop());

  async function outcomeOf(machineReadableZone: string, ...options: readonly string[]): Promise<CardOutcome> {
    const card = new IndependentCard(machineReadableZone, ...options);
    const { outcome } = await Promise.race([events.presented(), card.failed]);
    await card.remove();
    await events.removed();
    return outcome;
  }

  test('is authenticated and read in secure messaging', async () => {
    expect(await outcomeOf(lines.join(''), '--protected-status')).toMatchObject({
      kind: 'reading',
      reading: {
        userNumber: 'L898902C',
        assurance: ['mutual-authentication', 'message-authentication', 'encryption'],
        timings: { exchanges: 5 },
      },
    });
  });

  test('that does not protect its status word is authenticated, and then believed nothing', async () => {
    expect(await outcomeOf(lines.join(''))).toMatchObject({
      kind: 'refused',
      fault: {
        code: 'card-message-not-authentic',
        message: expect.stringContaining('no protected status'),
      },
    });
  });

  test('with other keys is not authenticated', async () => {
    expect(await outcomeOf(lines.join('').replace('L898902C<3', 'L898902D<4'))).toMatchObject({
      kind: 'refused',
      fault: { code: 'card-authentication-failed' },
    });
  });
});
