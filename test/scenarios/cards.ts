import { randomBytes } from 'node:crypto';
import type { CardProfile } from '#core/card/profile.ts';
import type { Clock } from '#ports/clock.ts';
import { cardDescriptionSchema } from '#simulators/card/card-description.ts';
import { readTestKeys, type TestKey } from '#simulators/card/test-keys.ts';
import { VirtualCard } from '#simulators/card/virtual-card.ts';
import { syntheticProfiles } from '../contracts/deck.ts';

export const typeA = 'synthetic-type-a';
export const typeC = 'synthetic-type-c';

/** How a card differs from a Type A card with the keys of version 1 and the PIN 1234. */
export interface CardKind {
  /** Type C: a number that anyone could copy */
  readonly profile?: typeof typeA | typeof typeC;
  readonly keyVersion?: 1 | 2;
  /** its keys are not the organization's */
  readonly forged?: true;
}

export interface ProfileChanges {
  /** shortest and longest PIN; 4 and 4 by default */
  readonly pinDigits?: readonly [minimum: number, maximum: number];
  /** when the keys of a version cease to be accepted */
  readonly keysUntil?: { readonly [version: string]: string };
}

/** The shipped profiles of Type A and C, with user numbers as short as people in stories have them. */
export async function storyProfiles({
  pinDigits = [4, 4],
  keysUntil,
}: ProfileChanges): Promise<CardProfile[]> {
  const [minimumDigits, maximumDigits] = pinDigits;
  const profiles = (await syntheticProfiles()).filter(({ id }) => id === typeA || id === typeC);
  return profiles.map((profile) => ({
    ...profile,
    userNumber: { ...profile.userNumber, format: { ...profile.userNumber.format, minimumLength: 5 } },
    ...(profile.keys && { keys: { ...profile.keys, ...(keysUntil && { until: keysUntil }) } }),
    ...(profile.pin && { pin: { ...profile.pin, minimumDigits, maximumDigits } }),
  }));
}

/** The cards of a story: each person keeps theirs, tries of the PIN included. */
export class Cards {
  readonly #clock: Pick<Clock, 'after'>;
  readonly #keys: readonly TestKey[];
  readonly #cards = new Map<string, VirtualCard>();

  private constructor(clock: Pick<Clock, 'after'>, keys: readonly TestKey[]) {
    this.#clock = clock;
    this.#keys = keys;
  }

  static async open(clock: Pick<Clock, 'after'>): Promise<Cards> {
    return new Cards(clock, await readTestKeys());
  }

  of(userNumber: string, kind: CardKind = {}): VirtualCard {
    const name = JSON.stringify([userNumber, kind.profile, kind.keyVersion, kind.forged]);
    const known = this.#cards.get(name);
    if (known) return known;
    const card = new VirtualCard({
      description: cardDescriptionSchema.parse({
        formatVersion: 1,
        cardApplications: [this.#application(userNumber.padEnd(12), kind)],
      }),
      randomBytes,
      clock: this.#clock,
    });
    this.#cards.set(name, card);
    return card;
  }

  #application(text: string, { profile = typeA, keyVersion = 1, forged }: CardKind) {
    const file = { shortFileId: 1, fileId: '0001', content: { text } };
    if (profile === typeC) return { aid: 'F04B415A415355010C01', files: [{ ...file, read: 'always' }] };
    const master = this.#keys.find((one) => one.profileId === profile && one.version === keyVersion)?.key;
    return {
      aid: 'F04B415A415355010A01',
      files: [{ ...file, read: 'authenticated' }],
      keys: {
        testKeysOnly: true,
        mechanism: 'mutual',
        cipher: 'aes-128',
        sessionKeys: 'sha-256',
        messages: 'authenticated',
        version: keyVersion,
        diversifier: Buffer.from(text.slice(0, 10)).toString('hex'),
        master: forged ? '0'.repeat(32) : Buffer.from(master ?? []).toString('hex'),
      },
      pins: [{ reference: 129, digits: '1234', tries: 3 }],
    };
  }
}
