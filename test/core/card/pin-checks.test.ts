import { expect, test } from 'vitest';
import { parseCommand } from '#core/apdu/command.ts';
import { joinResponse } from '#core/apdu/response.ts';
import type { Transmit } from '#core/apdu/transmit.ts';
import { fromHex } from '#core/bytes/bytes.ts';
import type { CardChannel } from '#core/card/channel/mutual/card-channel.ts';
import { answerMutualAuthentication } from '#core/card/channel/mutual/card-side.ts';
import { checkCard } from '#core/card/conformance/check-card.ts';
import { type CardProfile, parseCardProfile } from '#core/card/profile.ts';
import { walk } from './conformance-walk.ts';
import { mutualChannelOf, testKeys, typeA } from './rig.ts';

const diversifier = '4B415A41535500000001';
const none = new Uint8Array();

/** A Type A card that authenticates, and answers each question for its tries, protected, by the next status. */
async function cardThatTells(...statuses: readonly number[]): Promise<Transmit> {
  const parameters = mutualChannelOf(typeA);
  const cardNonce = new Uint8Array(8).fill(7);
  const random = (length: number) => new Uint8Array(length).fill(8);
  let channel: CardChannel | undefined;
  let asked = 0;
  const answerTo = async (apdu: Uint8Array): Promise<Uint8Array> => {
    const { cla, ins, p2, data = none } = parseCommand(apdu) ?? { cla: 0, ins: 0, p2: 0 };
    if (ins === 0xa4) {
      channel = undefined;
      asked = 0;
      return p2 === 0x0c ? none : fromHex(`6F1D840AF04B415A415355010A01A50FC00101C10A${diversifier}`);
    }
    if (ins === 0x84) return cardNonce;
    if (ins === 0x82) {
      const request = { profileId: typeA.id, keyVersion: 1, diversification: 'an10922' } as const;
      const keys = await testKeys({ ...request, diversifier: fromHex(diversifier) });
      const accepted = answerMutualAuthentication({ parameters, keys, cardNonce, random }, data);
      channel = accepted?.channel;
      return accepted?.answer ?? none;
    }
    throw new Error(`no answer to ${cla} ${ins}`);
  };
  return async (apdu) => {
    if (apdu[0] === 0x0c && channel?.unwrap(apdu).kind === 'command') {
      asked += 1;
      return channel.wrap(none, apdu[1] === 0x20 ? (statuses[asked - 1] ?? 0x6a88) : 0x6a82);
    }
    if (apdu[1] === 0x20 || apdu[1] === 0xb0 || apdu[0] === 0x0c) return fromHex('6982');
    return joinResponse(await answerTo(apdu), 0x9000);
  };
}

async function counterOf(...statuses: readonly number[]): Promise<string | undefined> {
  const { findings } = await checkCard({
    card: { transmit: await cardThatTells(...statuses), reset: async () => undefined },
    profile: typeA,
    cardKeys: testKeys,
    wrongKeys: false,
    randomBytes: (length) => new Uint8Array(length).fill(9),
    monotonicUs: () => 0,
  });
  const found = findings.find(({ id }) => id === 'pin-counter');
  return found && `${found.verdict}: ${found.detail.en}`;
}

test.each([
  [[0x63c3, 0x63c3], 'holds: 3 left, and asking spends none'],
  [[0x63c2, 0x63c2], 'holds: 2 left, and asking spends none'],
  [[0x63c1, 0x63c1], 'noted: 1 left, fewer than the 2 of the profile'],
  [[0x63c3, 0x63c2], 'fails: asking alone has changed the tries left'],
  [[0x63c0], 'noted: the PIN is blocked'],
  [[0x6983], 'noted: the PIN is blocked'],
  [
    [0x6300, 0x6300],
    'fails: it does not tell the tries left: 6300 (authentication failed); the terminal will send no PIN',
  ],
  [[0x9000, 0x9000], 'fails: it does not tell the tries left: 9000 (success); the terminal will send no PIN'],
])('a card that answers the question for its tries by %j', async (statuses, said) => {
  expect(await counterOf(...statuses)).toBe(said);
});

test('a card that ends the session instead, for whatever reason but a blocked PIN, fails', async () => {
  const report = await walk({
    answer: async (command, card) =>
      command[0] === 0x0c && command[1] === 0x20 ? fromHex('6988') : card(command),
  });
  expect(report.findings.find(({ id }) => id === 'pin-counter')).toMatchObject({
    verdict: 'fails',
    detail: { en: expect.stringMatching(/^card-answer-status: .*6988/) },
  });
});

test.each([
  [{}, 'ASCII digits', 'ASCIIの数字'],
  [
    { padding: 'FF', length: 8 },
    'ASCII digits, filled with FF to 8 bytes',
    'ASCIIの数字、FFで8バイトまで埋める',
  ],
  [
    { encoding: 'bcd', padding: 'FF', length: 4 },
    'BCD, filled with FF to 4 bytes',
    'BCD、FFで4バイトまで埋める',
  ],
  [{ encoding: 'iso-9564-2' }, 'ISO 9564-1 format 2', 'ISO 9564-1 フォーマット2'],
])('of a PIN with the format %j it is said what the terminal would send', async (changes, en, ja) => {
  const profile: CardProfile = parseCardProfile({ ...typeA, pin: { ...typeA.pin, ...changes } }, 'test');
  const report = await walk({ profile });
  expect(report.findings.find(({ id }) => id === 'pin-format')).toMatchObject({
    verdict: 'not-tried',
    detail: { en: `the terminal sends ${en}; no PIN is sent here`, ja: `端末の送る形式: ${ja}（照合せず）` },
  });
  expect(report.findings.find(({ id }) => id === 'pin-counter-unprotected')).toMatchObject({
    verdict: 'noted',
    detail: { en: 'before authentication it answers 63C3 (3 tries left)' },
  });
});
