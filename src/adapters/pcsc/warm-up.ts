import { randomBytes } from 'node:crypto';
import { parseCommand } from '#core/apdu/command.ts';
import { joinResponse, statusWords } from '#core/apdu/response.ts';
import type { Transmit } from '#core/apdu/transmit.ts';
import { concat, fromHex } from '#core/bytes/bytes.ts';
import { buildTlv } from '#core/bytes/tlv.ts';
import type { CardChannel } from '#core/card/channel/mutual/card-channel.ts';
import { answerMutualAuthentication } from '#core/card/channel/mutual/card-side.ts';
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
  const keys = { encryption: randomBytes(16), mac: randomBytes(16) };
  const session = new CardSession({
    transmit: memoryCard(profile, keys),
    profiles: [profile],
    cardKeys: async () => ({ encryption: keys.encryption.slice(), mac: keys.mac.slice() }),
    claimed: () => undefined,
    randomBytes,
    monotonicUs,
    connectUs: 0,
  });
  // however it ends: a made-up number that a profile refuses has compiled the code all the same
  await session.read();
  session.close();
}

/** A card AP as the profile describes it, which knows no more than the commands of a reading. */
function memoryCard(profile: CardProfile, keys: CardKeys): Transmit {
  const cardNonce = new Uint8Array(randomBytes(8));
  const content = userNumberContent(profile);
  let channel: CardChannel | undefined;
  return async (apdu) => {
    const command = channel?.unwrap(apdu);
    if (channel && command?.kind === 'command') return channel.wrap(content, statusWords.success);
    const { ins, p1, data } = parseCommand(apdu) ?? {};
    if (ins === 0xa4) return joinResponse(p1 === 0x04 ? fileControl(profile) : empty, statusWords.success);
    if (ins === 0x84) return joinResponse(cardNonce, statusWords.success);
    if (ins !== 0x82 || !data || !profile.channel) return joinResponse(content, statusWords.success);
    const random = (length: number): Uint8Array => randomBytes(length);
    const answered = answerMutualAuthentication(
      { parameters: profile.channel, keys, cardNonce, random },
      data,
    );
    channel = answered?.channel;
    return joinResponse(answered?.answer ?? empty, statusWords.success);
  };
}

const empty = new Uint8Array();

function userNumberContent({
  userNumber: { file, offset, length, padding, format },
}: CardProfile): Uint8Array {
  const content = new Uint8Array(length).fill(padding === 'none' ? 0x30 : Number.parseInt(padding, 16));
  content.fill(0x30, 0, format.minimumLength);
  return file.record === undefined ? content : concat(new Uint8Array(offset), content);
}

/** The answer to SELECT that the profile expects: the AID, and key version and diversifier where it says. */
function fileControl({ application, keys }: CardProfile): Uint8Array {
  if (application.answer === 'none') return empty;
  const objects: [path: string, value: Uint8Array][] = [['6F/84', fromHex(application.aid)]];
  if (keys) objects.push([keys.versionAt, Uint8Array.of(keys.versions[0] ?? 0)]);
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
