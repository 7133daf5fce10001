import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { Transmit } from '#core/apdu/transmit.ts';
import { fromHex } from '#core/bytes/bytes.ts';
import type { ChannelParameters } from '#core/card/channel/mutual/messages.ts';
import { deriveCardKeys } from '#core/card/diversification.ts';
import type { CardKeyRequest, CardKeys } from '#core/card/keys.ts';
import { type CardProfile, parseCardProfile } from '#core/card/profile.ts';
import type { CardClaim } from '#core/card/reading.ts';
import { CardSession } from '#core/card/session.ts';
import { type CardDescription, cardDescriptionSchema } from '#simulators/card/card-description.ts';
import { VirtualCard, type VirtualCardParts } from '#simulators/card/virtual-card.ts';

const repository = new URL('../../../', import.meta.url);

export const readYaml = (path: string): unknown => parse(readFileSync(new URL(path, repository), 'utf8'));

export const shippedProfile = (name: string): CardProfile =>
  parseCardProfile(readYaml(`device-config/card-profiles/${name}.yaml`), name);

export const typeA = shippedProfile('synthetic-type-a');
export const typeC = shippedProfile('synthetic-type-c');
export const typeD = shippedProfile('synthetic-type-d');

export const deckCard = (name: string): CardDescription =>
  cardDescriptionSchema.parse(readYaml(`src/simulators/card/decks/${name}.yaml`));

/** Delays run when the test says so. */
export class ManualTimers {
  readonly #due: { action: () => void; delayMs: number }[] = [];

  readonly after = (delayMs: number, action: () => void) => {
    const timer = { action, delayMs };
    this.#due.push(timer);
    return () => {
      const place = this.#due.indexOf(timer);
      if (place >= 0) this.#due.splice(place, 1);
    };
  };

  get pending(): readonly number[] {
    return this.#due.map(({ delayMs }) => delayMs);
  }

  fireNext(): void {
    this.#due.shift()?.action();
  }
}

/** Delays that are over at once: time passes only as a figure. */
export const instantly: VirtualCardParts['clock'] = {
  after: (_delayMs, action) => {
    queueMicrotask(action);
    return () => undefined;
  },
};

export function powered(
  description: CardDescription,
  parts: Partial<Omit<VirtualCardParts, 'description'>> = {},
): VirtualCard {
  const card = new VirtualCard({ description, randomBytes, clock: instantly, ...parts });
  card.powerOn();
  return card;
}

const masters: Readonly<Record<number, Uint8Array>> = {
  1: fromHex('54455354204B4559204F4E4C59203031'),
  2: fromHex('54455354204B4559204F4E4C59203032'),
};

const typeDMaster = fromHex('54455354204B4559204F4E4C59203431');

/** The keys of the deck's cards. */
export async function testKeys(request: CardKeyRequest): Promise<CardKeys> {
  const { keyVersion, diversification, diversifier, profileId } = request;
  const master = profileId === typeD.id ? typeDMaster : masters[keyVersion];
  if (!master || !diversifier || diversification === 'none') throw new Error('no such test key');
  return deriveCardKeys(master, diversification, diversifier);
}

/** The parameters of the mutual authentication of a profile that has it. */
export function mutualChannelOf({ channel }: CardProfile): ChannelParameters {
  if (channel?.mechanism !== 'mutual') throw new Error('the profile has no mutual authentication');
  return channel;
}

/** The card of the deck, its first application, which authenticates mutually, changed. */
export function withMutualKeys(name: string, changes: Partial<ChannelParameters>): CardDescription {
  const description = structuredClone(deckCard(name));
  const keys = description.cardApplications[0]?.keys;
  if (keys?.mechanism !== 'mutual') throw new Error('the card has no mutual authentication');
  Object.assign(keys, changes);
  return cardDescriptionSchema.parse(description);
}

export interface SessionOptions {
  readonly profiles?: readonly CardProfile[];
  readonly cardKeys?: (request: CardKeyRequest) => Promise<CardKeys>;
  readonly claimed?: (claim: CardClaim) => void;
  readonly randomBytes?: (length: number) => Uint8Array;
}

export function session(transmit: Transmit, options: SessionOptions = {}): CardSession {
  let now = 0;
  return new CardSession({
    transmit,
    profiles: [typeA, typeC],
    cardKeys: testKeys,
    randomBytes,
    monotonicUs: () => {
      now += 1;
      return now;
    },
    presentedAtUs: -4,
    ...options,
  });
}

/** A card that gives these answers, in hexadecimal, one after the other, and counts what it was asked. */
export function scripted(...answers: readonly string[]): { transmit: Transmit; commands: Uint8Array[] } {
  const commands: Uint8Array[] = [];
  const transmit: Transmit = async (command) => {
    const answer = answers[commands.length];
    commands.push(command);
    if (answer === undefined) throw new Error('the script has no answer left');
    return fromHex(answer);
  };
  return { transmit, commands };
}

export const pin = (digits: string): Uint8Array => new TextEncoder().encode(digits);
