import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { CardConnection, StatusWatch } from '#adapters/pcsc/binding.ts';
import { insertionCount } from '#adapters/pcsc/card-presence.ts';
import type { PcscReaders, PcscReadersOptions } from '#adapters/pcsc/pcsc-readers.ts';
import { VpcdLink } from '#simulators/vpcd/vpcd-link.ts';
import { deckCard } from '../contracts/deck.ts';
import { ReaderEvents } from '../contracts/reader-events.ts';
import {
  ObservedCard,
  Occupancy,
  openPcscdFixture,
  type PcscdFixture,
  readerNames,
} from './pcscd-fixture.ts';

const [first, second] = readerNames;

let fixture: PcscdFixture;
let readers: PcscReaders;
let events: ReaderEvents;
let occupancy: Occupancy;

async function start(overrides: Partial<PcscReadersOptions> = {}): Promise<void> {
  readers = await fixture.readers(overrides);
  events = new ReaderEvents();
  occupancy = new Occupancy();
  await readers.start(occupancy.before(events));
}

async function stop(): Promise<void> {
  fixture.removeCards();
  await occupancy.empty();
  await readers.stop();
}

function killChild(signal: NodeJS.Signals): void {
  const pid = readers.childPid();
  if (pid === undefined) throw new Error('no child');
  process.kill(pid, signal);
}

async function slowEmployee(): Promise<ObservedCard> {
  const card = await deckCard('employee');
  card.misbehave({ kind: 'slow', delayMs: 60 });
  return new ObservedCard(card);
}

/** Resolves at the second exchange of the next reading: that it has begun has been told by then. */
async function halfRead(card: ObservedCard): Promise<void> {
  await card.nextExchange();
  await card.nextExchange();
}

/** Resolves when pcscd has looked and counted that the reader is empty: its counter is even then. */
async function seenEmpty(readerName: string): Promise<void> {
  await new Promise<void>((resolve) => {
    const watch = new StatusWatch(
      readerName,
      (state) => {
        if (insertionCount(state) % 2 !== 0) return;
        watch.close();
        resolve();
      },
      () => undefined,
    );
  });
}

const pin = (): Uint8Array => new Uint8Array(Buffer.from('1234', 'ascii'));
const processLost = { kind: 'refused', fault: { code: 'reader-process-lost' } };

beforeAll(async () => {
  fixture = await openPcscdFixture();
});
afterAll(() => fixture.close());
beforeEach(() => start());
afterEach(() => stop());

test('a pcscd that has not answered yet is no pcscd without readers', async () => {
  expect(readers.serviceFault()).toBeUndefined();
  expect((await fixture.readers()).serviceFault()?.code).toBe('reader-service-absent');
});

describe('the child process', () => {
  test('dies during a reading: the tap is refused, the readers recover, the card is read again', async () => {
    const card = await slowEmployee();
    const begun = halfRead(card);
    await fixture.link(first).insert(card);
    await begun;
    const before = events.all.length;
    killChild('SIGKILL');
    expect((await events.presented()).outcome).toMatchObject(processLost);
    expect(await events.removed()).toBe(first);
    expect((await events.statusAfter(before, second, 'faulty')).fault?.code).toBe('reader-process-lost');
    await events.statusAfter(before, second, 'ready');
    expect((await events.presented()).outcome.kind).toBe('reading');
  });

  test('dies twice during the reading of one card: the card is not read for ever', async () => {
    const card = await slowEmployee();
    const begun = halfRead(card);
    await fixture.link(first).insert(card);
    await begun;
    const begunAgain = halfRead(card);
    killChild('SIGKILL');
    expect((await events.presented()).outcome).toMatchObject(processLost);
    expect(await events.removed()).toBe(first);
    await begunAgain;
    const before = events.all.length;
    killChild('SIGKILL');
    expect((await events.presented()).outcome).toMatchObject(processLost);
    await events.statusAfter(before, second, 'ready');
    await fixture.link(second).insert(await deckCard('library'));
    expect((await events.presented()).readerName).toBe(second);
  });

  test('dies with a session open: the card that stays is one tap, and its PIN comes too late', async () => {
    await fixture.link(first).insert(await deckCard('employee'));
    const card = await events.presented();
    const before = events.all.length;
    killChild('SIGKILL');
    await events.statusAfter(before, first, 'faulty');
    expect(await card.verifyPin(pin())).toMatchObject(processLost);
    await card.end();
    await events.statusAfter(before, first, 'ready');
    await fixture.link(second).insert(await deckCard('library'));
    expect((await events.presented()).readerName).toBe(second);
    fixture.link(first).remove();
    expect(await events.removed()).toBe(first);
    await fixture.link(first).insert(await deckCard('employee'));
    expect((await events.presented()).outcome.kind).toBe('reading');
  });

  test('hangs: it is replaced, and the next card is read', async () => {
    const before = events.all.length;
    killChild('SIGSTOP');
    expect((await events.statusAfter(before, first, 'faulty')).fault?.code).toBe('reader-process-lost');
    await events.statusAfter(before, first, 'ready');
    await fixture.link(first).insert(await deckCard('employee'));
    expect((await events.presented()).outcome.kind).toBe('reading');
  });
});

describe('pcscd', () => {
  test('is killed and started again: what it held is removed, and read again', async () => {
    await fixture.link(first).insert(await deckCard('employee'));
    const { tapId } = await events.presented();
    const before = events.all.length;
    await fixture.restartPcscd();
    expect((await events.statusAfter(before, first, 'absent')).fault?.code).toBe('reader-service-absent');
    expect(await events.removed()).toBe(first);
    await events.statusAfter(before, first, 'ready');
    const again = await events.presented();
    expect(again.outcome.kind).toBe('reading');
    expect(again.tapId).not.toBe(tapId);
  });

  test('is killed during a reading: the tap is refused and the card read again', async () => {
    const card = await slowEmployee();
    const begun = halfRead(card);
    await fixture.link(first).insert(card);
    await begun;
    await fixture.restartPcscd();
    expect((await events.presented()).outcome).toMatchObject({
      kind: 'refused',
      fault: { code: 'reader-service-absent' },
    });
    expect(await events.removed()).toBe(first);
    expect((await events.presented()).outcome.kind).toBe('reading');
  });

  test('hangs: the readers cannot be used until it goes on', async () => {
    fixture.pcscd.suspend();
    try {
      const status = await events.status(first, ({ state }) => state !== 'ready');
      expect(['reader-service-absent', 'reader-process-lost']).toContain(status.fault?.code);
    } finally {
      fixture.pcscd.resume();
    }
    await events.status(first, ({ state }) => state === 'ready');
    await fixture.link(first).insert(await deckCard('employee'));
    expect((await events.presented()).outcome.kind).toBe('reading');
  });

  test('loses a reader and has another one: neither is used', async () => {
    const readerConfiguration = join(fixture.folder, 'reader.conf');
    await writeFile(
      readerConfiguration,
      'FRIENDLYNAME "Another PCD"\nDEVICENAME /dev/null:0x8C7B\n' +
        'LIBPATH /usr/lib/pcsc/drivers/serial/libifdvpcd.so\nCHANNELID 0x8C7B\n',
    );
    const before = events.all.length;
    await fixture.restartPcscd({ readerConfiguration });
    const other = await events.statusAfter(before, 'Another PCD 00 00', 'faulty');
    expect(other.fault?.code).toBe('reader-not-allowed');
    const gone = await events.status(first, ({ fault }) => fault?.code === 'reader-absent');
    expect(gone.state).toBe('absent');
    expect(readers.list().map(({ name }) => name)).toContain('Another PCD 00 01');
    const card = new ObservedCard(await deckCard('employee'));
    await fixture.link(first).insert(card);
    await fixture.restartPcscd();
    // the card has met both stacks; only the reader that is allowed has spoken to it
    expect((await events.presented()).outcome.kind).toBe('reading');
    expect(card.exchanges).toBe(4);
    expect(readers.list().map(({ name }) => name)).toEqual([...readerNames]);
  });
});

describe('a reader', () => {
  test('that is virtual is refused by a terminal, whatever its configuration allows', async () => {
    const strict = await fixture.readers({ virtualReaders: 'refused' });
    const strictEvents = new ReaderEvents();
    await strict.start(strictEvents);
    expect(strict.list()).toMatchObject([
      { name: first, state: 'faulty', virtual: true, fault: { code: 'reader-virtual' } },
      { name: second, state: 'faulty', virtual: true, fault: { code: 'reader-virtual' } },
    ]);
    await fixture.link(first).insert(await deckCard('employee'));
    expect((await events.presented()).outcome.kind).toBe('reading');
    expect(strictEvents.all.filter(({ kind }) => kind !== 'changed')).toEqual([]);
    await strict.stop();
  });

  test('that another program holds is in use, and is read when it is free', async () => {
    await stop();
    await fixture.link(first).insert(await deckCard('employee'));
    const other = new CardConnection(first);
    await new Promise<void>((resolve) => {
      const tryAgain = (error: Error | null): void => {
        if (error) other.connect(tryAgain);
        else resolve();
      };
      other.connect(tryAgain);
    });
    await start();
    expect((await events.presented()).outcome).toMatchObject({
      kind: 'refused',
      fault: { code: 'reader-in-use' },
    });
    await new Promise<void>((resolve) => other.disconnect('reset', () => resolve()));
    fixture.link(first).remove();
    expect(await events.removed()).toBe(first);
    await fixture.link(first).insert(await deckCard('employee'));
    expect((await events.presented()).outcome.kind).toBe('reading');
  });

  test('whose card does not answer says so, while the other reader goes on', async () => {
    const silent = await deckCard('employee');
    silent.misbehave({ kind: 'silent', exchange: 1 });
    const before = events.all.length;
    await fixture.link(first).insert(silent);
    expect((await events.presented()).outcome).toEqual({ kind: 'timeout' });
    const stuck = await events.statusAfter(before, first, 'faulty');
    expect(stuck.fault?.code).toBe('reader-failed');
    await fixture.link(second).insert(await deckCard('employee'));
    expect((await events.presented()).outcome.kind).toBe('reading');
    fixture.link(first).remove();
    await events.statusAfter(before, first, 'ready');
    expect(await events.removed()).toBe(first);
  });
});

describe('a card', () => {
  test('that is too slow for the tap is no fault of the reader', async () => {
    const slow = await deckCard('employee');
    slow.misbehave({ kind: 'slow', delayMs: 250 });
    await fixture.link(first).insert(slow);
    expect((await events.presented()).outcome).toMatchObject({ kind: 'too-slow' });
    fixture.link(first).remove();
    expect(await events.removed()).toBe(first);
    expect(events.faulty()).toEqual([]);
  });

  test('that breaks off and is back before pcscd looked is read again', async () => {
    const back = await deckCard('employee');
    const link = new VpcdLink({ slot: 0, whenLost: 'report', lost: () => void link.insert(back) });
    await link.insert(await deckCard('torn'));
    expect((await events.presented()).outcome).toEqual({ kind: 'removed' });
    expect(await events.removed()).toBe(first);
    expect((await events.presented()).outcome.kind).toBe('reading');
    link.remove();
    expect(await events.removed()).toBe(first);
  });

  test('that leaves as its session ends is one tap, told of once', async () => {
    await fixture.link(first).insert(await deckCard('employee'));
    const card = await events.presented();
    fixture.link(first).remove();
    await card.end();
    expect(await events.removed()).toBe(first);
    await seenEmpty(first);
    await fixture.link(first).insert(await deckCard('library'));
    expect((await events.presented()).outcome).toMatchObject({ reading: { userNumber: 'L00067890' } });
    expect(events.all.some((event) => event.kind === 'changed' && event.status.state === 'faulty')).toBe(
      false,
    );
  });

  test('that leaves as its session ends, with the next one there before pcscd looked, hides nobody', async () => {
    await fixture.link(first).insert(await deckCard('employee'));
    const card = await events.presented();
    fixture.link(first).remove();
    await card.end();
    await fixture.link(first).insert(await deckCard('library'));
    expect(await events.removed()).toBe(first);
    expect((await events.presented()).outcome).toMatchObject({ reading: { userNumber: 'L00067890' } });
  });
});
