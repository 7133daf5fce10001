import { describe, expect, test } from 'vitest';
import type { Transmit } from '#core/apdu/transmit.ts';
import { concat, fromHex, toHex } from '#core/bytes/bytes.ts';
import { authenticate } from '#core/card/authentication.ts';
import { selectApplication } from '#core/card/card-application.ts';
import { deriveScp03 } from '#core/card/channel/scp03/messages.ts';
import type { CardKeyRequest, CardKeys } from '#core/card/keys.ts';
import { type CardProfile, parseCardProfile } from '#core/card/profile.ts';
import type { CardClaim } from '#core/card/reading.ts';
import { AesCmac } from '#core/crypto/cmac.ts';
import { Fault } from '#core/fault.ts';
import type { CardDescription } from '#simulators/card/card-description.ts';
import { erasedWhile } from '../erased.ts';
import { channelVariant, variantDiversifier } from './channel-variants.ts';
import { deckCard, powered, session, testKeys, typeA, typeD } from './rig.ts';

interface Held {
  readonly profile: CardProfile;
  readonly card: CardDescription;
  readonly cardKeys?: (request: CardKeyRequest) => Promise<CardKeys>;
  readonly answer?: (command: Uint8Array, response: Uint8Array) => Uint8Array;
}

const typeACard: Held = { profile: typeA, card: deckCard('employee') };
const typeDCard: Held = { profile: typeD, card: deckCard('employee-type-d') };

/** One reading, the keys and random numbers that it used, and what it claimed on the way. */
async function held({ profile, card, cardKeys = testKeys, answer = (_, response) => response }: Held) {
  const virtual = powered(card);
  const transmit: Transmit = async (command) => answer(command, await virtual.transmit(command));
  const given: CardKeys[] = [];
  const random: Uint8Array[] = [];
  const claims: CardClaim[] = [];
  const open = session(transmit, {
    profiles: [profile],
    cardKeys: async (request) => {
      const keys = await cardKeys(request);
      given.push(keys);
      return keys;
    },
    claimed: (claim) => claims.push(claim),
    randomBytes: (length) => {
      const bytes = new Uint8Array(length).fill(0xa0 + random.length);
      random.push(bytes);
      return bytes;
    },
  });
  const outcome = await open.read();
  return { outcome, given, random, claims, open };
}

const refusing = (command: Uint8Array, response: Uint8Array) =>
  command[1] === 0x82 ? fromHex('6300') : response;
const isZero = (bytes: Uint8Array) => bytes.every((byte) => byte === 0);

describe('the keys of a card', () => {
  test('of a version that the profile does not list are not asked for', async () => {
    const other = (profile: CardProfile) =>
      parseCardProfile({ ...profile, keys: { ...profile.keys, versions: [2, 3] } }, 'test');
    for (const given of [typeACard, typeDCard]) {
      const { outcome, given: keys } = await held({ ...given, profile: other(given.profile) });
      const message = 'the card has keys of version 1, which its profile does not list';
      expect(outcome).toMatchObject({ fault: { code: 'card-key-version', message } });
      expect(keys).toEqual([]);
    }
  });

  test('that cannot be had are a fault, told as it is; a bug of the deriving is one with its cause', async () => {
    const missing = new Fault('card-key-missing', 'no key of this card');
    for (const given of [typeACard, typeDCard]) {
      const faulty = await held({ ...given, cardKeys: () => Promise.reject(missing) });
      expect(faulty.outcome).toMatchObject({ fault: { code: 'card-key-missing', message: missing.message } });
      const broken = await held({ ...given, cardKeys: () => Promise.reject(new TypeError('a bug')) });
      expect(broken.outcome).toMatchObject({
        fault: {
          code: 'key-unavailable',
          message: expect.stringContaining('the keys of the card cannot be derived'),
        },
      });
    }
  });

  test('are asked for once the card is chosen; why they cannot be had is kept', async () => {
    const { transmit } = powered(deckCard('employee-type-d'));
    await transmit(selectApplication(typeD));
    const cause = new TypeError('a bug');
    const parts = { profile: typeD, selected: {}, transmit, cardKeys: () => Promise.reject(cause) };
    if (!typeD.channel) throw new Error('Type D has a channel');
    await expect(
      authenticate({ ...parts, randomBytes: (length) => new Uint8Array(length) }, typeD.channel),
    ).rejects.toMatchObject({ code: 'key-unavailable', cause });
  });

  test.each([
    [15, 16],
    [16, 15],
    [24, 24],
  ])('of %i and %i bytes are refused and zeroed', async (encryption, mac) => {
    for (const given of [typeACard, typeDCard]) {
      const cardKeys = async () => ({
        encryption: new Uint8Array(encryption).fill(1),
        mac: new Uint8Array(mac).fill(2),
      });
      const { outcome, given: keys } = await held({ ...given, cardKeys });
      const message = 'the keys of the card do not have 16 bytes';
      expect(outcome).toMatchObject({ fault: { code: 'key-unavailable', message } });
      expect(keys.flatMap((one) => [one.encryption, one.mac]).every(isZero)).toBe(true);
    }
  });
});

describe('behind an authentication, be it refused or not, no secret stays in memory', () => {
  test.each([
    ['Type A', typeACard],
    ['Type D', typeDCard],
  ])('%s', async (name, given) => {
    for (const answer of [undefined, refusing]) {
      let used: Awaited<ReturnType<typeof held>> | undefined;
      const erased = await erasedWhile(async () => {
        used = await held({ ...given, ...(answer && { answer }) });
      });
      expect(used?.outcome.kind).toBe(answer ? 'refused' : 'reading');
      expect(used?.given.flatMap(({ encryption, mac }) => [encryption, mac]).every(isZero)).toBe(true);
      const { encryption, mac } = await testKeys({
        profileId: given.profile.id,
        keyVersion: 1,
        diversification: name === 'Type A' ? 'an10922' : 'kdf3',
        diversifier: fromHex(name === 'Type A' ? '4B415A41535500000001' : '4B415A41535500000008'),
      });
      for (const key of [encryption, mac]) expect(erased).toContain(toHex(key));
      // our key material of the mutual authentication; a challenge is no secret
      if (name === 'Type A') expect(used?.random.filter(isZero)).toHaveLength(1);
    }
  });

  test('a session that SCP03 opened in vain is closed', async () => {
    const variant = channelVariant({
      ...{ mechanism: 'scp03', cipher: 'aes-256', level: '33', mode: 's8', askedKeyVersion: 0 },
    });
    const { mac } = await variant.cardKeys({
      ...{ profileId: 'variant', keyVersion: 1, diversification: 'kdf3' },
      diversifier: fromHex(variantDiversifier),
    });
    const timesErased = async (refused: boolean) => {
      let context: Uint8Array = new Uint8Array();
      const answer = (command: Uint8Array, response: Uint8Array) => {
        if (command[1] === 0x50) context = concat(command.subarray(5, 13), response.subarray(13, 21));
        return refused ? refusing(command, response) : response;
      };
      const erased = await erasedWhile(() => held({ ...variant, answer }));
      const key = toHex(deriveScp03(new AesCmac(mac), 'sMac', context, 32));
      return erased.filter((it) => it === key).length;
    };
    // accepted, the session key lives on in the channel
    expect(await timesErased(true)).toBe((await timesErased(false)) + 1);
  });
});

describe('what a card says of itself', () => {
  test('is claimed while it authenticates, and stands in the reading once that is proven', async () => {
    for (const [given, diversifier] of [
      [typeACard, '4B415A41535500000001'],
      [typeDCard, '4B415A41535500000008'],
    ] as const) {
      const { outcome, claims } = await held(given);
      const { organization, id: profileId } = given.profile;
      expect(claims).toEqual([{ organization, profileId, diversifier }]);
      expect(outcome).toMatchObject({ reading: { diversifier } });
    }
  });

  test('proves nothing where all cards share their keys, and is not claimed', async () => {
    const variant = channelVariant(
      { mechanism: 'scp03', cipher: 'aes-128', level: '33', mode: 's8', askedKeyVersion: 0 },
      { profile: { keys: { versions: [1, 2], diversification: 'none' } } },
    );
    const mutual = channelVariant(
      { mechanism: 'mutual', cipher: 'aes-128', sessionKeys: 'sha-256', messages: 'encrypted' },
      { profile: { keys: { versions: [1, 2], diversification: 'none', versionAt: '6F/A5/C0' } } },
    );
    for (const { profile, card, cardKeys } of [variant, mutual]) {
      const ofTheCard = () =>
        cardKeys({
          ...{ profileId: 'variant', keyVersion: 1, diversification: 'kdf3' },
          diversifier: fromHex(variantDiversifier),
        });
      const { outcome, claims } = await held({ profile, card, cardKeys: ofTheCard });
      expect(outcome).toMatchObject({ kind: 'reading', reading: { keyVersion: 1 } });
      expect(outcome.kind === 'reading' && outcome.reading).not.toHaveProperty('diversifier');
      expect(claims).toEqual([]);
    }
  });
});
