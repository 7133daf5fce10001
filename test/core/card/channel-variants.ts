import { fromHex, toHex } from '#core/bytes/bytes.ts';
import { deriveCardKeys } from '#core/card/diversification.ts';
import type { CardKeyRequest, CardKeys } from '#core/card/keys.ts';
import { type CardProfile, parseCardProfile } from '#core/card/profile.ts';
import { type CardDescription, cardDescriptionSchema } from '#simulators/card/card-description.ts';

type Channel = NonNullable<CardProfile['channel']>;

/** A card AP of the method `custom`, as its profile describes it and as a virtual card has it. */
export interface ChannelVariant {
  readonly name: string;
  readonly profile: CardProfile;
  readonly card: CardDescription;
  /** the keys of every card of the variant */
  readonly cardKeys: (request: CardKeyRequest) => Promise<CardKeys>;
}

const aid = 'F04B415A415355010F01';
export const variantDiversifier = '4B415A41535500000099';
const format = { alphabet: 'uppercase-alphanumeric', minimumLength: 6, maximumLength: 10 };

export const plainUserNumber = {
  file: { shortFileId: 1 },
  offset: 0,
  length: 12,
  encoding: 'ascii',
  padding: '20',
  format,
};
export const plainFile = {
  shortFileId: 1,
  fileId: '0001',
  read: 'authenticated',
  content: { text: 'E00054321   ' },
};
const pinPolicy = { reference: 129, minimumDigits: 4, maximumDigits: 8, minimumTriesLeft: 2 };

export interface VariantChanges {
  readonly userNumber?: object;
  readonly file?: object;
  readonly profile?: object;
  readonly application?: object;
  readonly card?: object;
  readonly cardKeys?: object;
}

const keyLengths = { 'aes-128': 16, 'aes-192': 24, 'aes-256': 32, '3des': 16 } as const;

/** A card AP with this channel, with a PIN where the channel can carry one. */
export function channelVariant(channel: Channel, changes: VariantChanges = {}): ChannelVariant {
  const isScp03 = channel.mechanism === 'scp03';
  const master = new Uint8Array(keyLengths[channel.cipher]).map((_, i) => 0x40 + i);
  const hasPin = !isScp03 || channel.level === '13' || channel.level === '33';
  const places = isScp03 ? {} : { versionAt: '6F/A5/C0', diversifier: { at: '6F/A5/C1', length: 10 } };
  const profile = parseCardProfile(
    {
      formatVersion: 1,
      id: 'variant',
      synthetic: true,
      organization: 'kazasu-city',
      method: 'custom',
      application: { aid, answer: 'fci', ...changes.application },
      userNumber: { ...plainUserNumber, ...changes.userNumber },
      channel,
      keys: { versions: [1, 2], diversification: 'kdf3', ...places },
      ...(hasPin && { pin: pinPolicy }),
      ...changes.profile,
    },
    'variant',
  );
  const own = isScp03
    ? { mechanism: 'scp03', cipher: channel.cipher, mode: channel.mode, challenge: 'random' }
    : channel;
  const card = cardDescriptionSchema.parse({
    formatVersion: 1,
    cardApplications: [
      {
        aid,
        files: [{ ...plainFile, ...changes.file }],
        keys: {
          testKeysOnly: true,
          ...own,
          version: 1,
          diversifier: variantDiversifier,
          // the virtual card makes keys of 16 bytes for triple DES in the same way
          card: hexKeys(deriveCardKeys(master, 'kdf3', fromHex(variantDiversifier))),
          ...changes.cardKeys,
        },
        pins: [{ reference: 129, digits: '1234', tries: 3 }],
      },
    ],
    ...changes.card,
  });
  const cardKeys = async ({ diversifier = new Uint8Array(1) }: CardKeyRequest) =>
    deriveCardKeys(master, 'kdf3', diversifier);
  return { name: nameOf(channel), profile, card, cardKeys };
}

function hexKeys({ encryption, mac }: CardKeys): { encryption: string; mac: string } {
  return { encryption: toHex(encryption), mac: toHex(mac) };
}

function nameOf(channel: Channel): string {
  return channel.mechanism === 'scp03'
    ? `SCP03 ${channel.cipher}, level ${channel.level}, ${channel.mode}`
    : `mutual ${channel.cipher}, ${channel.sessionKeys}, ${channel.messages}`;
}

export const mutualChannels: readonly Channel[] = (['aes-128', '3des'] as const).flatMap((cipher) =>
  (['sha-1', 'sha-256'] as const).flatMap((sessionKeys) =>
    (['authenticated', 'encrypted'] as const).map(
      (messages) => ({ mechanism: 'mutual', cipher, sessionKeys, messages }) as const,
    ),
  ),
);

export const scp03Channels: readonly Channel[] = (['aes-128', 'aes-192', 'aes-256'] as const).flatMap(
  (cipher) =>
    (['01', '03', '11', '13', '33'] as const).flatMap((level) =>
      (['s8', 's16'] as const).map(
        (mode) => ({ mechanism: 'scp03', cipher, level, mode, askedKeyVersion: 0 }) as const,
      ),
    ),
);
