import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { stringify } from 'yaml';
import type { PresentedCard } from '#ports/card-reader.ts';
import { TestKeys } from '#simulators/card/test-keys.ts';
import { VirtualCard } from '#simulators/card/virtual-card.ts';
import { canariesIn, canary, canaryKey, type Planted, plantedCards } from '../canaries.ts';
import { makeTestVault } from '../contracts/test-vault.ts';
import { instantly } from '../core/card/rig.ts';
import { emulate, kazasu } from './kazasu-process.ts';
import { openPcscdFixture, type PcscdFixture, readerNames } from './pcscd-fixture.ts';

let fixture: PcscdFixture;
let keys: string;
let emulated: Awaited<ReturnType<typeof emulate>> | undefined;
beforeAll(async () => {
  fixture = await openPcscdFixture();
  keys = await makeTestVault(fixture.folder, [canaryKey()]);
});
afterEach(async () => {
  const ended = await emulated?.stop();
  emulated = undefined;
  expect(canariesIn(ended?.stderr ?? '')).toEqual([]);
});
afterAll(() => fixture.close());
const inFolder = (name: string): string => join(fixture.folder, name);

async function written({ profile, card }: Planted): Promise<{ profileFile: string; cardFile: string }> {
  const [profileFile, cardFile] = [inFolder('profile.yaml'), inFolder('card.yaml')];
  await writeFile(profileFile, stringify(profile));
  await writeFile(cardFile, stringify(card));
  return { profileFile, cardFile };
}

test('the adapter’s log at its lowest level shows nothing, whatever the card does', async () => {
  const [planted] = plantedCards;
  if (!planted) throw new Error('no card');
  const heard: string[] = [];
  const stream = new Writable({
    write: (chunk, _encoding, done) => {
      heard.push(String(chunk));
      done();
    },
  });
  const [readerName] = readerNames;
  const readers = await fixture.readers({
    allowed: [{ readerName, profileIds: [planted.profile.id] }],
    profiles: [planted.profile],
    keys: new TestKeys([canaryKey()]),
    log: pino({ level: 'trace' }, stream),
  });
  let presented: ((card: PresentedCard) => void) | undefined;
  let removed: (() => void) | undefined;
  await readers.start({
    readerChanged: () => undefined,
    cardDetected: () => undefined,
    cardClaimed: () => undefined,
    cardPresented: (card) => presented?.(card),
    cardRemoved: () => removed?.(),
  });
  const kinds: string[] = [];
  for (const exchange of [0, 2, 3, 4]) {
    const card = new VirtualCard({ description: planted.card, randomBytes, clock: instantly });
    if (exchange > 0) card.misbehave({ kind: 'flipped-bit', exchange, bit: 20 });
    const next = new Promise<PresentedCard>((resolve) => {
      presented = resolve;
    });
    await fixture.link(readerName).insert(card);
    const held = await next;
    kinds.push(held.outcome.kind);
    if (held.outcome.kind !== 'reading') heard.push(JSON.stringify(held.outcome));
    else heard.push(JSON.stringify(await held.verifyPin(new TextEncoder().encode(canary.newPin))));
    const left = new Promise<void>((resolve) => {
      removed = resolve;
    });
    await held.end();
    fixture.link(readerName).remove();
    await left;
  }
  await readers.stop();
  expect(kinds).toEqual(['reading', 'refused', 'refused', 'refused']);
  expect(canariesIn(heard.join('\n'))).toEqual([]);
});

test.each(plantedCards.map((planted) => [planted.name, planted] as const))(
  'commands show nothing of %s but what card read is asked for',
  // one command was seen to hang once, in six runs, for a reason not found: its name is told, and a second hang fails
  { timeout: 90_000, retry: 1 },
  async (_name, planted) => {
    const { profileFile, cardFile } = await written(planted);
    emulated = await emulate(cardFile);
    const pinFile = inFolder('pin');
    await writeFile(pinFile, `${canary.pin}\n`, { mode: 0o600 });
    const outputs: string[] = [];
    const run = async (...words: string[]): Promise<string> => {
      const { stdout, stderr } = await kazasu(...words);
      outputs.push(stdout, stderr);
      return stdout + stderr;
    };
    const given = ['--profile', profileFile, '--keys', keys];
    const withPin = planted.profile.pin ? ['--pin-file', pinFile] : [];
    const trace = inFolder(`${planted.name}.jsonl`);
    expect(await run('card', 'trace', ...given, ...withPin, '--output', trace, '--wait')).toContain(
      'reading',
    );
    outputs.push(await readFile(trace, 'utf8'));
    await run('card', 'explain', trace, ...given);
    await run('--json', 'card', 'explain', trace, ...given);
    expect(await run('card', 'check', ...given, '--wrong-keys')).not.toMatch(/^NG/m);
    await run('--json', 'card', 'check', ...given);
    // without its keys, and with what is no file of a PIN
    await run('card', 'read', '--profile', profileFile);
    await run('card', 'read', ...given, '--pin-file', cardFile);
    expect(canariesIn(outputs.join('\n'))).toEqual([]);
    const read = await kazasu('--json', 'card', 'read', ...given, ...withPin);
    // what it is asked for: the reading, whose diversifier only this document has
    expect(canariesIn(read.stdout + read.stderr)).toEqual(['userNumber', 'diversifier']);
  },
);
