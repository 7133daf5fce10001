import { randomBytes } from 'node:crypto';
import { parseCommand } from '#core/apdu/command.ts';
import { joinResponse, statusWords } from '#core/apdu/response.ts';
import type { Transmit } from '#core/apdu/transmit.ts';
import { concat, fromHex } from '#core/bytes/bytes.ts';
import { buildTlv } from '#core/bytes/tlv.ts';
import { answerMutualAuthentication } from '#core/card/channel/mutual/card-side.ts';
import type { ChannelParameters } from '#core/card/channel/mutual/messages.ts';
import { Scp03CardHandshake } from '#core/card/channel/scp03/card-side.ts';
import {
  diversificationDataLength,
  externalAuthenticateInstruction,
  initializeUpdateInstruction,
  type Scp03Parameters,
  scp03KeyLengths,
  scp03Lengths,
} from '#core/card/channel/scp03/messages.ts';
import type { CardSecureChannel } from '#core/card/channel/secure-channel.ts';
import type { CardKeys } from '#core/card/keys.ts';
import type { CardProfile } from '#core/card/profile.ts';
import { CardSession } from '#core/card/session.ts';

/** enough readings for V8 to have compiled their code, which otherwise the first holders of a day wait for */
const readings = 200;

/**
 * Reads cards that exist in memory alone, with random keys, by every profile: the same code as a tap's, compiled
 * before the first. Gives way after each reading, so that a card held up meanwhile waits for one at most.
 */
export async function warmUp(profiles: readonly CardProfile[], monotonicUs: () => number): Promise<void> {
  for (const profile of profiles) {
    for (let reading = 0; reading < readings; reading += 1) {
      await readOnce(profile, monotonicUs);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

async function readOnce(profile: CardProfile, monotonicUs: () => number): Promise<void> {
  const length = profile.channel?.mechanism === 'scp03' ? scp03KeyLengths[profile.channel.cipher] : 16;
  const keys = { encryption: randomBytes(length), mac: randomBytes(length) };
  const session = new CardSession({
    transmit: memoryCard(profile, keys),
    profiles: [profile],
    cardKeys: async () => ({ encryption: keys.encryption.slice(), mac: keys.mac.slice() }),
    randomBytes,
    monotonicUs,
    presentedAtUs: monotonicUs(),
  });
  // however it ends: a made-up number that a profile refuses has compiled the code all the same
  await session.read();
  session.close();
}

/** A card AP as the profile describes it, which knows no more than the commands of a reading. */
function memoryCard(profile: CardProfile, keys: CardKeys): Transmit {
  const content = userNumberContent(profile);
  const authentication =
    profile.channel?.mechanism === 'scp03'
      ? scp03Authentication(profile, profile.channel, keys)
      : mutualAuthentication(profile.channel, keys);
  let channel: CardSecureChannel | undefined;
  return async (apdu) => {
    const command = channel?.unwrap(apdu);
    if (channel && command?.kind === 'command') return channel.wrap(content, statusWords.success);
    const { ins, p1, data = empty } = parseCommand(apdu) ?? {};
    if (ins === 0xa4) return joinResponse(p1 === 0x04 ? fileControl(profile) : empty, statusWords.success);
    const step = ins === undefined ? undefined : authentication(ins, data, apdu);
    channel = step?.channel;
    return joinResponse(step?.answer ?? content, statusWords.success);
  };
}

/** What a command of the authentication is answered, and the channel once it is open; undefined for other commands. */
type Authentication = (
  instruction: number,
  data: Uint8Array,
  apdu: Uint8Array,
) => { readonly answer: Uint8Array; readonly channel?: CardSecureChannel } | undefined;

function mutualAuthentication(parameters: ChannelParameters | undefined, keys: CardKeys): Authentication {
  const cardNonce = new Uint8Array(randomBytes(8));
  return (instruction, data) => {
    if (instruction === 0x84) return { answer: cardNonce };
    if (instruction !== 0x82 || !parameters) return undefined;
    return answerMutualAuthentication({ parameters, keys, cardNonce, random: randomBytes }, data);
  };
}

function scp03Authentication(
  profile: CardProfile,
  { cipher, mode }: Scp03Parameters,
  keys: CardKeys,
): Authentication {
  const challenge = new Uint8Array(randomBytes(scp03Lengths[mode]));
  const diversifier = new Uint8Array(diversificationDataLength);
  const keyVersion = profile.keys?.versions[0] ?? 0;
  let handshake: Scp03CardHandshake | undefined;
  return (instruction, data, apdu) => {
    if (instruction === initializeUpdateInstruction) {
      handshake = new Scp03CardHandshake({ cipher, mode, keys, keyVersion, diversifier, challenge }, data);
      return { answer: handshake.answer() };
    }
    const channel = instruction === externalAuthenticateInstruction ? handshake?.accept(apdu) : undefined;
    return channel && { answer: empty, channel };
  };
}

const empty = new Uint8Array();

/** A file or record with the shortest user number of the format, all zeros, where the profile looks for it. */
function userNumberContent({
  userNumber: { file, offset, length, padding, format, encoding, at },
}: CardProfile): Uint8Array {
  const isBcd = encoding === 'bcd';
  const digits = isBcd ? Math.ceil(format.minimumLength / 2) : format.minimumLength;
  const filler = padding === 'none' ? 0x30 : Number.parseInt(padding, 16);
  const number = new Uint8Array(at === undefined ? length : digits).fill(filler);
  number.fill(isBcd ? 0x00 : 0x30, 0, digits);
  const content = at === undefined ? number : nested([[at.split('/'), number]]);
  return file.record === undefined ? content : concat(new Uint8Array(offset), content);
}

/** The answer to SELECT that the profile expects: the AID, and key version and diversifier where it says. */
function fileControl({ application, keys }: CardProfile): Uint8Array {
  if (application.answer === 'none') return empty;
  const objects: [path: string, value: Uint8Array][] = [['6F/84', fromHex(application.aid)]];
  if (keys?.versionAt) objects.push([keys.versionAt, Uint8Array.of(keys.versions[0] ?? 0)]);
  if (keys?.diversifier) objects.push([keys.diversifier.at, new Uint8Array(keys.diversifier.length)]);
  return nested(objects.map(([path, value]) => [path.split('/'), value]));
}

/** Data objects at paths of hexadecimal tags; those with a first tag in common share its template. */
function nested(objects: readonly (readonly [path: readonly string[], value: Uint8Array])[]): Uint8Array {
  const tags = [...new Set(objects.map(([[tag = '']]) => tag))];
  const built = tags.map((tag) => {
    const inside = objects.filter(([[first]]) => first === tag);
    const leaf = inside.find(([path]) => path.length === 1);
    const value = leaf ? leaf[1] : nested(inside.map(([path, content]) => [path.slice(1), content]));
    return buildTlv(Number.parseInt(tag, 16), value);
  });
  return concat(...built);
}
