import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { CardProfile } from '#core/card/profile.ts';
import type { CardReaders } from '#ports/card-reader.ts';
import type { LinkedCard } from '#simulators/vpcd/vpcd-link.ts';
import { deckCard, syntheticProfiles } from './deck.ts';
import { ReaderEvents } from './reader-events.ts';

export interface CardReadersHarness {
  readonly readers: CardReaders;
  /** two readers that are allowed and ready */
  readonly names: readonly [string, string];
  insert(readerName: string, card: LinkedCard): Promise<void>;
  remove(readerName: string): void;
  close(): Promise<void>;
}

export interface ContractLimits {
  readonly apduDeadlineMs: number;
  readonly tapDeadlineMs: number;
  readonly sessionDeadlineMs: number;
}

const limits: ContractLimits = { apduDeadlineMs: 300, tapDeadlineMs: 900, sessionDeadlineMs: 20_000 };

const digits = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'ascii'));

/**
 * What every implementation of CardReaders does with a card, simulator and real stack alike. Where the whole machine is
 * `slower`, so many times, all times are: of deadlines and of slow cards.
 */
export function cardReadersContract(
  name: string,
  open: (profiles: readonly CardProfile[], limits: ContractLimits) => Promise<CardReadersHarness>,
  slower = 1,
): void {
  describe(`card readers: ${name}`, () => {
    let harness: CardReadersHarness;
    let events: ReaderEvents;

    const start = async (overrides: Partial<ContractLimits> = {}): Promise<void> => {
      const { apduDeadlineMs, tapDeadlineMs, sessionDeadlineMs } = { ...limits, ...overrides };
      harness = await open(await syntheticProfiles(), {
        apduDeadlineMs: apduDeadlineMs * slower,
        tapDeadlineMs: tapDeadlineMs * slower,
        sessionDeadlineMs: sessionDeadlineMs * slower,
      });
      events = new ReaderEvents();
      await harness.readers.start(events);
      for (const reader of harness.names) await events.status(reader, ({ state }) => state === 'ready');
    };

    beforeEach(() => start());
    afterEach(() => harness.close());

    test('reads a Type A card with mutual authentication and a stage by stage timing', async () => {
      await harness.insert(harness.names[0], await deckCard('employee'));
      const card = await events.presented();
      expect(card.readerName).toBe(harness.names[0]);
      expect(card.tapId).toMatch(/^[0-9a-f]{32}$/);
      if (card.outcome.kind !== 'reading') throw new Error(card.outcome.kind);
      const { reading } = card.outcome;
      expect(reading).toMatchObject({
        organization: 'kazasu-city',
        profileId: 'synthetic-type-a',
        method: 'type-a',
        userNumber: 'E00012345',
        assurance: ['mutual-authentication', 'message-authentication'],
        keyVersion: 1,
        diversifier: '4B415A41535500000001',
      });
      expect(events.claims.get(harness.names[0])).toEqual({
        organization: 'kazasu-city',
        profileId: 'synthetic-type-a',
        diversifier: '4B415A41535500000001',
      });
      expect(reading.timings.exchanges).toBe(4);
      expect(reading.timings.readUs).toBeGreaterThanOrEqual(0);
      await card.end();
      await card.end();
    });

    test('reads a Type D card encrypted, and knows it by what INITIALIZE UPDATE tells', async () => {
      await harness.insert(harness.names[0], await deckCard('employee-type-d'));
      const { outcome } = await events.presented();
      expect(outcome).toMatchObject({
        kind: 'reading',
        reading: {
          method: 'type-d',
          userNumber: 'E00089012',
          assurance: ['mutual-authentication', 'message-authentication', 'encryption'],
          keyVersion: 1,
          diversifier: '4B415A41535500000008',
        },
      });
      expect(events.claims.get(harness.names[0])).toMatchObject({ diversifier: '4B415A41535500000008' });
    });

    test('reads a Type C card with no assurance', async () => {
      await harness.insert(harness.names[0], await deckCard('library'));
      const { outcome } = await events.presented();
      expect(outcome).toMatchObject({
        kind: 'reading',
        reading: { method: 'type-c', userNumber: 'L00067890', assurance: [] },
      });
      expect(events.claims.size).toBe(0);
    });

    test('tells a card without any of the card APs from a refused one', async () => {
      await harness.insert(harness.names[0], await deckCard('no-card-application'));
      expect((await events.presented()).outcome).toEqual({ kind: 'unknown-card' });
      harness.remove(harness.names[0]);
      await events.removed();
      await harness.insert(harness.names[0], await deckCard('forged'));
      expect((await events.presented()).outcome).toMatchObject({
        kind: 'refused',
        fault: { code: 'card-authentication-failed' },
      });
    });

    test('verifies a PIN on the open session, and zeroes its digits', async () => {
      await harness.insert(harness.names[0], await deckCard('employee'));
      const card = await events.presented();
      const wrong = digits('9999');
      expect(await card.verifyPin(wrong)).toEqual({ kind: 'wrong', triesLeft: 2 });
      expect([...wrong]).toEqual([0, 0, 0, 0]);
      const right = digits('1234');
      expect(await card.verifyPin(right)).toMatchObject({
        kind: 'verified',
        reading: { assurance: ['mutual-authentication', 'message-authentication', 'pin'] },
      });
      expect([...right]).toEqual([0, 0, 0, 0]);
      await card.end();
    });

    test('does not send a PIN that would risk the last try, nor to a blocked card', async () => {
      const employee = await deckCard('employee');
      await harness.insert(harness.names[0], employee);
      const card = await events.presented();
      expect(await card.verifyPin(digits('9999'))).toEqual({ kind: 'wrong', triesLeft: 2 });
      expect(await card.verifyPin(digits('9999'))).toEqual({ kind: 'wrong', triesLeft: 1 });
      expect(await card.verifyPin(digits('1234'))).toEqual({ kind: 'withheld', triesLeft: 1 });
      await card.end();
      await harness.insert(harness.names[1], await deckCard('blocked-pin'));
      expect(await (await events.presented()).verifyPin(digits('1234'))).toEqual({ kind: 'blocked' });
    });

    test('refuses a PIN after the end of the session', async () => {
      await harness.insert(harness.names[0], await deckCard('employee'));
      const card = await events.presented();
      await card.end();
      const late = digits('1234');
      expect(await card.verifyPin(late)).toMatchObject({
        kind: 'refused',
        fault: { code: 'card-channel-closed' },
      });
      expect([...late]).toEqual([0, 0, 0, 0]);
    });

    test('says "removed" to a PIN when the card has left', async () => {
      await harness.insert(harness.names[0], await deckCard('employee'));
      const card = await events.presented();
      harness.remove(harness.names[0]);
      expect(await events.removed()).toBe(harness.names[0]);
      expect(await card.verifyPin(digits('1234'))).toEqual({ kind: 'removed' });
    });

    test('ends a session that nobody ends', async () => {
      await harness.close();
      await start({ sessionDeadlineMs: 50 });
      const employee = await deckCard('employee');
      const ended = new Promise<void>((resolve) => {
        const reset = employee.reset.bind(employee);
        employee.reset = () => {
          reset();
          resolve();
        };
      });
      await harness.insert(harness.names[0], employee);
      const card = await events.presented();
      await ended;
      expect(await card.verifyPin(digits('1234'))).toEqual({ kind: 'timeout' });
    });

    test('takes a card torn away in the middle of an exchange as "hold again"', async () => {
      await harness.insert(harness.names[0], await deckCard('torn'));
      expect((await events.presented()).outcome).toEqual({ kind: 'removed' });
      expect(await events.removed()).toBe(harness.names[0]);
      await harness.insert(harness.names[0], await deckCard('employee'));
      expect((await events.presented()).outcome.kind).toBe('reading');
    });

    test('gives up on a silent card, and reads the next one after it has left', async () => {
      const silent = await deckCard('employee');
      silent.misbehave({ kind: 'silent', exchange: 2 });
      await harness.insert(harness.names[0], silent);
      const card = await events.presented();
      expect(card.outcome).toEqual({ kind: 'timeout' });
      await card.end();
      harness.remove(harness.names[0]);
      expect(await events.removed()).toBe(harness.names[0]);
      await harness.insert(harness.names[0], await deckCard('employee'));
      expect((await events.presented()).outcome.kind).toBe('reading');
    });

    test('bears a slow card within the deadlines, and not beyond the deadline of the tap', async () => {
      const slow = await deckCard('employee');
      slow.misbehave({ kind: 'slow', delayMs: 50 * slower });
      await harness.insert(harness.names[0], slow);
      expect((await events.presented()).outcome.kind).toBe('reading');
      const tooSlow = await deckCard('employee');
      tooSlow.misbehave({ kind: 'slow', delayMs: 250 * slower });
      await harness.insert(harness.names[1], tooSlow);
      const { outcome } = await events.presented();
      expect(outcome).toEqual({
        kind: 'too-slow',
        exchanges: expect.any(Number),
        cardUs: expect.any(Number),
      });
      if (outcome.kind === 'too-slow') expect(outcome.cardUs).toBeGreaterThan(500_000 * slower);
    });

    test.each([1, 3, 4])('refuses a flipped bit in response %i', async (exchange) => {
      const card = await deckCard('employee');
      card.misbehave({ kind: 'flipped-bit', exchange, bit: 37 });
      await harness.insert(harness.names[0], card);
      expect((await events.presented()).outcome.kind).toBe('refused');
    });

    test.each([
      ['nothing but a status word', Uint8Array.of(0x90, 0x00)],
      ['one byte', Uint8Array.of(0x90)],
      ['random bytes', new Uint8Array(randomBytes(300))],
      ['the longest answer there is', new Uint8Array(65_535).fill(0x61)],
    ])('refuses a card that answers %s', async (_what, answer) => {
      const { atr } = await deckCard('employee');
      const idle = (): void => undefined;
      const card = { atr, powerOn: idle, powerOff: idle, reset: idle, transmit: async () => answer };
      await harness.insert(harness.names[0], card);
      expect((await events.presented()).outcome).toMatchObject({ kind: 'refused' });
    });

    test('keeps the sessions of two readers apart', async () => {
      const [one, two] = [await deckCard('employee'), await deckCard('library')];
      await Promise.all([harness.insert(harness.names[0], one), harness.insert(harness.names[1], two)]);
      const cards = [await events.presented(), await events.presented()];
      const numbers = new Map(
        cards.map(({ readerName, outcome }) => [
          readerName,
          outcome.kind === 'reading' ? outcome.reading.userNumber : outcome.kind,
        ]),
      );
      expect(numbers.get(harness.names[0])).toBe('E00012345');
      expect(numbers.get(harness.names[1])).toBe('L00067890');
      const employee = cards.find(({ readerName }) => readerName === harness.names[0]);
      harness.remove(harness.names[1]);
      expect(await events.removed()).toBe(harness.names[1]);
      expect(await employee?.verifyPin(digits('1234'))).toMatchObject({ kind: 'verified' });
    });

    test('makes two taps of a card that is replaced at once, and one of a card that stays', async () => {
      await harness.insert(harness.names[0], await deckCard('employee'));
      const first = await events.presented();
      harness.remove(harness.names[0]);
      await harness.insert(harness.names[0], await deckCard('library'));
      expect(await events.removed()).toBe(harness.names[0]);
      const second = await events.presented();
      expect(second.outcome).toMatchObject({ reading: { userNumber: 'L00067890' } });
      expect(second.tapId).not.toBe(first.tapId);
      await second.end();
      // a tap at the other reader shows that the card that stayed has not been read again
      await harness.insert(harness.names[1], await deckCard('employee'));
      expect((await events.presented()).readerName).toBe(harness.names[1]);
    });
  });
}
