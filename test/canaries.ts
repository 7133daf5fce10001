import { toHex } from '#core/bytes/bytes.ts';
import { deriveCardKeys } from '#core/card/diversification.ts';
import { type CardProfile, parseCardProfile } from '#core/card/profile.ts';
import { type CardDescription, cardDescriptionSchema } from '#simulators/card/card-description.ts';
import type { TestKey } from '#simulators/card/test-keys.ts';
import { typeA, typeD } from './core/card/rig.ts';

/** Secrets that stand nowhere else, planted to be looked for in everything that the program puts out. */
export const canary = {
  userNumber: 'CANARY7391',
  payload: 'PAYLOAD-NOBODY-MAY-SEE',
  pin: '80517263',
  newPin: '36271508',
  masterKey: 'KEYCANARYKEYCANA',
  diversifier: 'DIVCANARY1',
} as const;

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const cardKeys = deriveCardKeys(bytesOf(canary.masterKey), 'an10922', bytesOf(canary.diversifier));

const planted: readonly (readonly [string, Uint8Array])[] = [
  ...Object.entries(canary).map(([name, text]) => [name, bytesOf(text)] as const),
  ['encryption key of the card', cardKeys.encryption],
  ['MAC key of the card', cardKeys.mac],
];

/** The forms in which bytes get into texts by accident. */
function formsOf(bytes: Uint8Array): readonly string[] {
  const hex = toHex(bytes).toLowerCase();
  const pairs = hex.match(/../g) ?? [];
  return [
    String.fromCharCode(...bytes).toLowerCase(),
    hex,
    pairs.join(' '),
    pairs.join(':'),
    bytes.join(','),
    bytes.join(', '),
    Buffer.from(bytes).toString('base64').replace(/=+$/, '').toLowerCase(),
  ];
}

/** The names of the canaries that `output` shows, in whatever form. */
export function canariesIn(output: string): readonly string[] {
  const text = output.toLowerCase();
  return planted
    .filter(([, bytes]) => formsOf(bytes).some((form) => text.includes(form)))
    .map(([name]) => name);
}

const profileId = 'canary';

/** A key of its own each time, since who takes it in zeroes it. */
export const canaryKey = (): TestKey => ({
  profileId,
  version: 1,
  diversification: 'an10922',
  key: bytesOf(canary.masterKey),
});

/** E1 { C5 user number, C6 payload } in a file that the channel protects. */
const file = ((): string => {
  const object = (tag: string, text: string) =>
    `${tag}${text.length.toString(16).padStart(2, '0')}${toHex(bytesOf(text))}`;
  const content = object('C5', canary.userNumber) + object('C6', canary.payload);
  return `E1${(content.length / 2).toString(16).padStart(2, '0')}${content}`.toUpperCase();
})();

export interface Planted {
  readonly name: string;
  readonly profile: CardProfile;
  readonly card: CardDescription;
}

function plant(name: string, base: CardProfile, keys: object, changes: object): Planted {
  const profile = parseCardProfile(
    {
      ...base,
      id: profileId,
      userNumber: { ...base.userNumber, length: 96, at: 'E1/C5' },
      ...changes,
    },
    name,
  );
  const card = cardDescriptionSchema.parse({
    formatVersion: 1,
    cardApplications: [
      {
        aid: profile.application.aid,
        files: [{ shortFileId: 1, fileId: '0001', read: 'authenticated', content: { hex: file } }],
        keys: {
          testKeysOnly: true,
          version: 1,
          diversification: 'an10922',
          diversifier: toHex(bytesOf(canary.diversifier)),
          master: toHex(bytesOf(canary.masterKey)),
          ...keys,
        },
        pins: profile.pin ? [{ reference: profile.pin.reference, digits: canary.pin, tries: 15 }] : [],
      },
    ],
  });
  return { name, profile, card };
}

const mutual = { mechanism: 'mutual', cipher: 'aes-128', sessionKeys: 'sha-256' };
const scp03 = { mechanism: 'scp03', cipher: 'aes-128', mode: 's8' };

/** Cards full of canaries: data in the clear with a MAC, encrypted data with a PIN, and SCP03. */
export const plantedCards: readonly Planted[] = [
  plant('Type A', typeA, { ...mutual, messages: 'authenticated' }, {}),
  plant(
    'Type A, encrypted',
    typeA,
    { ...mutual, messages: 'encrypted' },
    {
      channel: { ...mutual, messages: 'encrypted' },
    },
  ),
  plant(
    'Type D',
    typeD,
    { ...scp03, challenge: 'random' },
    {
      keys: { ...typeD.keys, diversification: 'an10922' },
      channel: { ...scp03, level: '33', askedKeyVersion: 0 },
    },
  ),
];

export const canaryPin = (): Uint8Array => bytesOf(canary.pin);
export const canaryNewPin = (): Uint8Array => bytesOf(canary.newPin);
