import type { Transmit } from '#core/apdu/transmit.ts';
import type { SelectedApplication } from '#core/card/card-application.ts';
import type { ChannelParameters } from '#core/card/channel/mutual/messages.ts';
import { getChallenge, parseChallenge, TerminalHandshake } from '#core/card/channel/mutual/terminal-side.ts';
import { scp03KeyLengths } from '#core/card/channel/scp03/messages.ts';
import { Scp03TerminalHandshake } from '#core/card/channel/scp03/terminal-side.ts';
import type { SecureChannel } from '#core/card/channel/secure-channel.ts';
import { type CardKeyRequest, type CardKeys, zeroCardKeys } from '#core/card/keys.ts';
import type { CardProfile } from '#core/card/profile.ts';
import { Fault, isFault } from '#core/fault.ts';

type ChannelProfile = NonNullable<CardProfile['channel']>;
type Scp03Profile = Extract<ChannelProfile, { mechanism: 'scp03' }>;

export interface AuthenticationParts {
  readonly profile: CardProfile;
  readonly selected: SelectedApplication;
  readonly transmit: Transmit;
  /** rejects with a Fault `card-key-missing` or `key-unavailable`; what it gives is zeroed here */
  readonly cardKeys: (request: CardKeyRequest) => Promise<CardKeys>;
  /** called with the key version that the card names, proven by nothing yet */
  readonly keyNamed?: (version: number) => void;
  readonly randomBytes: (length: number) => Uint8Array;
  /** called with the card's diversifier, proven by nothing yet, while the card authenticates */
  readonly claimed?: (diversifier: Uint8Array) => void;
}

/** An open channel, and the key version and diversifier that it proved. */
export interface Authenticated {
  readonly channel: SecureChannel;
  readonly keyVersion: number;
  readonly diversifier?: Uint8Array;
}

/**
 * Authenticates mutually with the selected card AP, by the mechanism of its profile; the caller closes the channel.
 *
 * @throws Fault `card-authentication-failed`, `card-answer-status`, `card-answer-malformed`, `card-key-version`,
 * `card-key-missing`, `key-unavailable`, and what `transmit` rejects with
 */
export function authenticate(parts: AuthenticationParts, channel: ChannelProfile): Promise<Authenticated> {
  return channel.mechanism === 'scp03' ? openScp03(parts, channel) : openMutual(parts, channel);
}

/** GET CHALLENGE while the keys are derived and made ready, then MUTUAL AUTHENTICATE. */
async function openMutual(parts: AuthenticationParts, parameters: ChannelParameters): Promise<Authenticated> {
  const { transmit, selected } = parts;
  const [challenge, prepared] = await Promise.allSettled([
    transmit(getChallenge),
    prepareMutual(parts, parameters),
  ]);
  const handshake = prepared.status === 'fulfilled' ? prepared.value : undefined;
  try {
    if (challenge.status === 'rejected') throw challenge.reason;
    if (!handshake) throw (prepared as PromiseRejectedResult).reason;
    const answered = transmit(handshake.command(parseChallenge(challenge.value)));
    const { keyVersion = 0, diversifier } = selected;
    if (diversifier) parts.claimed?.(diversifier);
    handshake.prepare();
    return { channel: handshake.complete(await answered), keyVersion, ...(diversifier && { diversifier }) };
  } finally {
    handshake?.close();
  }
}

async function prepareMutual(
  parts: AuthenticationParts,
  parameters: ChannelParameters,
): Promise<TerminalHandshake> {
  const { keyVersion = 0, diversifier } = parts.selected;
  const keys = await cardKeys(parts, mutualKeyLength, keyVersion, diversifier);
  try {
    return new TerminalHandshake({ parameters, keys, random: parts.randomBytes });
  } finally {
    zeroCardKeys(keys);
  }
}

/** INITIALIZE UPDATE, which tells whose keys to derive, then EXTERNAL AUTHENTICATE while the session is made ready. */
async function openScp03(parts: AuthenticationParts, channel: Scp03Profile): Promise<Authenticated> {
  const { profile, transmit, randomBytes: random } = parts;
  const { askedKeyVersion } = channel;
  const handshake = new Scp03TerminalHandshake({ parameters: channel, askedKeyVersion, random });
  try {
    const { keyVersion, diversifier } = handshake.takeCardData(await transmit(handshake.initializeUpdate()));
    const keys = await cardKeys(parts, scp03KeyLengths[channel.cipher], keyVersion, diversifier);
    const command = externalAuthenticate(handshake, keys);
    // of keys that all cards share, a card proves nothing by its diversification data
    const proved = profile.keys?.diversification !== 'none';
    const answered = transmit(command);
    if (proved) parts.claimed?.(diversifier);
    handshake.prepare();
    return { channel: handshake.complete(await answered), keyVersion, ...(proved && { diversifier }) };
  } finally {
    handshake.close();
  }
}

function externalAuthenticate(handshake: Scp03TerminalHandshake, keys: CardKeys): Uint8Array {
  try {
    return handshake.externalAuthenticate(keys);
  } finally {
    zeroCardKeys(keys);
  }
}

/** Bytes of a key of the `mutual` mechanism, AES-128 or two-key triple DES. */
const mutualKeyLength = 16;

async function cardKeys(
  { profile, cardKeys: derive, keyNamed }: AuthenticationParts,
  length: number,
  keyVersion: number,
  diversifier: Uint8Array | undefined,
): Promise<CardKeys> {
  keyNamed?.(keyVersion);
  if (!profile.keys?.versions.includes(keyVersion)) {
    throw new Fault(
      'card-key-version',
      `the card has keys of version ${keyVersion}, which its profile does not list`,
    );
  }
  const { diversification } = profile.keys;
  const request = {
    profileId: profile.id,
    keyVersion,
    diversification,
    ...(diversifier && { diversifier }),
  };
  const keys = await derive(request).catch((cause: unknown) => {
    throw isFault(cause)
      ? cause
      : new Fault('key-unavailable', 'the keys of the card cannot be derived', { cause });
  });
  if (keys.encryption.length === length && keys.mac.length === length) return keys;
  zeroCardKeys(keys);
  throw new Fault('key-unavailable', `the keys of the card do not have ${length} bytes`);
}
