import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { PcscReaders, type PcscReadersOptions } from '#adapters/pcsc/pcsc-readers.ts';
import type { CardReaderEvents } from '#ports/card-reader.ts';
import { readTestKeys, TestKeys } from '#simulators/card/test-keys.ts';
import { findCardStack, type Pcscd, type PcscdOptions, startPcscd } from '#simulators/vpcd/pcscd.ts';
import { type LinkedCard, VpcdLink } from '#simulators/vpcd/vpcd-link.ts';
import { syntheticProfiles } from '../contracts/deck.ts';
import { makeTestVault } from '../contracts/test-vault.ts';

/** vpcd's two slots as pcscd names them */
export const readerNames = ['Virtual PCD 00 00', 'Virtual PCD 00 01'] as const;

/** The card stack of a test file: pcscd in this sandbox, and a link to each slot of vpcd. */
export class PcscdFixture {
  pcscd: Pcscd;
  readonly links: readonly [VpcdLink, VpcdLink];
  readonly folder: string;

  constructor(pcscd: Pcscd, folder: string) {
    this.pcscd = pcscd;
    this.folder = folder;
    this.links = [new VpcdLink({ slot: 0, whenLost: 'retry' }), new VpcdLink({ slot: 1, whenLost: 'retry' })];
  }

  /** The link to the slot of a reader name. */
  link(readerName: string): VpcdLink {
    return readerName === readerNames[0] ? this.links[0] : this.links[1];
  }

  /** Where commands find the deck's keys: a vault with its passphrase beside it. */
  keyFile(): Promise<string> {
    return makeTestVault(this.folder);
  }

  /** The adapter on both readers with both synthetic profiles, and short deadlines, unless told otherwise. */
  async readers(overrides: Partial<PcscReadersOptions> = {}): Promise<PcscReaders> {
    const profiles = await syntheticProfiles();
    const profileIds = profiles.map(({ id }) => id);
    return new PcscReaders({
      allowed: readerNames.map((readerName) => ({ readerName, profileIds })),
      profiles,
      keys: new TestKeys(await readTestKeys()),
      apduDeadlineMs: 300,
      tapDeadlineMs: 900,
      virtualReaders: 'allowed',
      log: pino({ level: 'silent' }),
      ...overrides,
    });
  }

  removeCards(): void {
    for (const link of this.links) link.remove();
  }

  /** Kills pcscd as a crash would and starts another. */
  async restartPcscd(options: PcscdOptions = {}): Promise<void> {
    await this.pcscd.kill();
    this.pcscd = await startPcscd(options);
  }

  async close(): Promise<void> {
    this.removeCards();
    await this.pcscd.stop();
    await rm(this.folder, { recursive: true });
  }
}

/** A card that lets a test wait for what the reader does with it. */
export class ObservedCard implements LinkedCard {
  readonly #card: LinkedCard;
  #waiting: (() => void)[] = [];
  /** APDUs so far */
  exchanges = 0;

  constructor(card: LinkedCard) {
    this.#card = card;
  }

  get atr(): Uint8Array {
    return this.#card.atr;
  }

  powerOn(): void {
    this.#card.powerOn();
  }

  powerOff(): void {
    this.#card.powerOff();
  }

  reset(): void {
    this.#card.reset();
  }

  readonly transmit = (command: Uint8Array): Promise<Uint8Array> => {
    this.exchanges += 1;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const tell of waiting) tell();
    return this.#card.transmit(command);
  };

  /** Resolves when the card is sent its next APDU. */
  nextExchange(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

/** Knows which readers hold a card by what is told of them. */
export class Occupancy {
  readonly #occupied = new Set<string>();
  #emptied: (() => void) | undefined;

  /** Events to be told here first and then to `events`. */
  before(events: CardReaderEvents): CardReaderEvents {
    return {
      readerChanged: (status) => events.readerChanged(status),
      cardDetected: (readerName) => events.cardDetected(readerName),
      cardClaimed: (readerName, claim) => events.cardClaimed(readerName, claim),
      cardPresented: (card) => {
        this.#occupied.add(card.readerName);
        events.cardPresented(card);
      },
      cardRemoved: (readerName) => {
        this.#occupied.delete(readerName);
        events.cardRemoved(readerName);
        if (this.#occupied.size === 0) this.#emptied?.();
      },
    };
  }

  /** Resolves when no reader holds a card. */
  async empty(): Promise<void> {
    if (this.#occupied.size > 0) await new Promise<void>((resolve) => (this.#emptied = resolve));
  }
}

/** Starts the stack; refuses where one is running already, since the test would meet its cards. */
export async function openPcscdFixture(): Promise<PcscdFixture> {
  if ((await findCardStack()).pcscd) throw new Error('a pcscd is running: run this in scripts/pcsc-sandbox');
  const folder = await mkdtemp(join(tmpdir(), 'kazasu-pcsc-'));
  return new PcscdFixture(await startPcscd(), folder);
}
