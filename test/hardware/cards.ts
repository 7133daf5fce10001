import { randomBytes } from 'node:crypto';
import { SystemClock } from '#adapters/os/clock.ts';
import { cardDescriptionSchema } from '#simulators/card/card-description.ts';
import { VirtualCard } from '#simulators/card/virtual-card.ts';

/** The holders of the machine's policy, each with one card of Type A. */
export const holders = Array.from({ length: 60 }, (_, index) => `holder-${index}`);

/** of every card */
export const profileId = 'synthetic-type-a';
export const pinOfCards = '2580';

/** Number of the holder's card, and what its keys are made from. */
function numbers(holder: string): { readonly userNumber: string; readonly diversifier: string } {
  const index = holders.indexOf(holder);
  return {
    userNumber: `E${String(index).padStart(8, '0')}`,
    diversifier: `4B415A4153550000${index.toString(16).padStart(4, '0').toUpperCase()}`,
  };
}

/** The user number on the holder's card. */
export function userNumberOf(holder: string): string {
  return numbers(holder).userNumber;
}

/** A card with the published test keys of `decks/keys.yaml`. */
export function cardOf(holder: string): VirtualCard {
  const { userNumber, diversifier } = numbers(holder);
  const description = cardDescriptionSchema.parse({
    formatVersion: 1,
    cardApplications: [
      {
        aid: 'F04B415A415355010A01',
        files: [{ shortFileId: 1, read: 'authenticated', content: { text: userNumber.padEnd(12) } }],
        keys: {
          testKeysOnly: true,
          mechanism: 'mutual',
          cipher: 'aes-128',
          sessionKeys: 'sha-256',
          messages: 'authenticated',
          version: 1,
          diversifier,
          master: '54455354204B4559204F4E4C59203031',
        },
        pins: [{ reference: 129, digits: pinOfCards, tries: 3 }],
      },
    ],
  });
  return new VirtualCard({ description, randomBytes, clock: new SystemClock() });
}

/** A complete list of holders as `policy import` takes it; `group` says who they are. */
export function holderList(group: string): string {
  const lines = holders.map((holder) => {
    const { userNumber, diversifier } = numbers(holder);
    return `${userNumber},${profileId},${holder},active,${group},active,1,${diversifier}`;
  });
  return ['user_number,profile,holder,status,groups,card_status,key_version,diversifier', ...lines, ''].join(
    '\n',
  );
}
