import { describe, expect, test } from 'vitest';
import { encodeCommand } from '#core/apdu/command.ts';
import { joinResponse } from '#core/apdu/response.ts';
import { concat, fromHex, toHex } from '#core/bytes/bytes.ts';
import { buildTlv } from '#core/bytes/tlv.ts';
import { CardChannel } from '#core/card/channel/mutual/card-channel.ts';
import { answerMutualAuthentication } from '#core/card/channel/mutual/card-side.ts';
import {
  type ChannelParameters,
  type Contribution,
  deriveSession,
  HandshakeKeys,
} from '#core/card/channel/mutual/messages.ts';
import { objectTags, SecureMessaging } from '#core/card/channel/mutual/secure-messaging.ts';
import { channelSuites } from '#core/card/channel/mutual/suite.ts';
import { TerminalChannel } from '#core/card/channel/mutual/terminal-channel.ts';
import { parseChallenge, TerminalHandshake } from '#core/card/channel/mutual/terminal-side.ts';
import { erasedBy } from '../erased.ts';

const aes: ChannelParameters = { cipher: 'aes-128', sessionKeys: 'sha-256', messages: 'authenticated' };
const des: ChannelParameters = { ...aes, cipher: '3des' };
const filled = (length: number, value: number) => new Uint8Array(length).fill(value);
const terminalSide: Contribution = { nonce: filled(8, 1), keyMaterial: filled(16, 2) };
const cardSide: Contribution = { nonce: filled(8, 3), keyMaterial: filled(16, 4) };
const secrets = (parameters = aes) => deriveSession(parameters, terminalSide, cardSide);
const keys = () => ({ encryption: filled(16, 5), mac: filled(16, 6) });

const read = { cla: 0, ins: 0xb0, p1: 0x81, p2: 0, expected: 3 };
const data = (tag: number, ...value: number[]) => buildTlv(tag, Uint8Array.from(value));
const status = data(objectTags.status, 0x90, 0x00);
const plain = data(objectTags.plain, 1, 2, 3);

/** Secure messaging at the counter of the first command (1) or its response (2). */
function messagingAt(counter: number, parameters = aes): SecureMessaging {
  const messaging = new SecureMessaging(parameters, secrets(parameters));
  for (let i = 0; i < counter; i += 1) messaging.advanceCounter();
  return messaging;
}

describe('an answer', () => {
  const terminalAfter = (parameters: ChannelParameters, ins = 0xb0) => {
    const terminal = new TerminalChannel(parameters, secrets(parameters));
    terminal.wrap({ ...read, ins });
    return terminal;
  };
  const withMac = (covered: Uint8Array, length = 8) =>
    concat(covered, buildTlv(objectTags.mac, messagingAt(2).macOf(undefined, covered).subarray(0, length)));

  test.each([
    ['data objects that are malformed', fromHex('8105'), 0x9000, 'its data objects are malformed'],
    ['no MAC', concat(plain, status), 0x9000, 'it has no MAC'],
    ['a MAC of seven bytes', withMac(concat(plain, status), 7), 0x9000, 'it has no MAC'],
    ['a wrong MAC', concat(status, data(0x8e, 1, 2, 3, 4, 5, 6, 7, 8)), 0x9000, 'its MAC is wrong'],
    ['no status', withMac(plain), 0x9000, 'it has no protected status'],
    ['a status of one byte', withMac(concat(plain, data(0x99, 0x90))), 0x9000, 'it has no protected status'],
    [
      'two data objects',
      withMac(concat(plain, plain, status)),
      0x9000,
      'data objects that do not belong there',
    ],
    ['another status', withMac(concat(plain, status)), 0x6282, 'its status differs from the protected one'],
    ['nothing but success', new Uint8Array(), 0x9000, 'it has no MAC'],
    ['nothing but an error', new Uint8Array(), 0x6982, 'ended the secure channel with status 6982'],
    ['data in another form', withMac(concat(data(0x87, 1, 2), status)), 0x9000, 'data in another form'],
  ])('with %s is refused, and ends the channel', (_name, body, word, said) => {
    const terminal = terminalAfter(aes);
    expect(() => terminal.unwrap(joinResponse(body, word))).toThrow(said);
    expect(() => terminal.unwrap(joinResponse(body, word))).toThrow(
      'the secure channel to the card is closed',
    );
    expect(() => terminal.wrap(read)).toThrow('the secure channel to the card is closed');
  });

  test('that is malformed is reported with what was wrong about it', () => {
    const refused = () => terminalAfter(aes).unwrap(joinResponse(fromHex('8105'), 0x9000));
    expect(refused).toThrow(expect.objectContaining({ cause: expect.objectContaining({ name: 'Fault' }) }));
    expect(refused).toThrow("the card's answer is not authentic: ");
  });

  const encrypted: ChannelParameters = { ...aes, messages: 'encrypted' };
  test.each([
    ['another padding indicator', 0xb0, (good: Uint8Array) => concat(Uint8Array.of(2), good.subarray(1))],
    ['no cryptogram', 0xb0, () => Uint8Array.of(1)],
    ['half a block', 0xb0, (good: Uint8Array) => good.subarray(0, 9)],
    ['a block that is no padding', 0xb0, () => concat(Uint8Array.of(1), filled(16, 9))],
    ['no cryptogram, to an odd instruction', 0xb1, () => new Uint8Array()],
  ])('encrypted, with %s under a right MAC, has no data', (_name, ins, change) => {
    const messaging = messagingAt(2, encrypted);
    const isOdd = (ins & 1) === 1;
    const good = messaging.encryptObject(Uint8Array.of(7), false).subarray(2);
    const covered = concat(buildTlv(isOdd ? 0x85 : 0x87, change(good)), status);
    const body = concat(covered, buildTlv(objectTags.mac, messaging.macOf(undefined, covered)));
    const terminal = terminalAfter(encrypted, ins);
    expect(() => terminal.unwrap(joinResponse(body, 0x9000))).toThrow('a cryptogram that is not padded');
  });
});

describe('a command', () => {
  const wrapped = (command: object, parameters = aes) =>
    new TerminalChannel(parameters, secrets(parameters)).wrap({ ...read, ...command });

  test('without data has no data object, whether its data is absent or empty', () => {
    expect(wrapped({ data: new Uint8Array() })).toEqual(wrapped({}));
  });

  test('is short as long as its data field fits, and asks for all there is', () => {
    // DO'81' of 239 bytes has 242, DO'97' 3 and DO'8E' 10
    const short = wrapped({ ins: 0xd6, data: filled(239, 7) });
    expect([short[4], short.length, short.at(-1)]).toEqual([255, 261, 0]);
    const extended = wrapped({ ins: 0xd6, data: filled(240, 7) });
    expect([...extended.subarray(4, 7)]).toEqual([0, 1, 0]);
    expect([...extended.subarray(-2)]).toEqual([0, 0]);
    expect([...wrapped({ expected: 257 }).subarray(4, 7)]).toEqual([0, 0, 14]);
  });

  /** The card's end, and a command with these objects under a right MAC. */
  function opened(objects: Uint8Array, { parameters = aes, ins = 0xb0, macLength = 8 } = {}) {
    const card = new CardChannel(parameters, secrets(parameters));
    const header = Uint8Array.of(0x0c, ins, 0x81, 0);
    const mac = messagingAt(1, parameters).macOf(header, objects).subarray(0, macLength);
    const apdu = encodeCommand({
      cla: 0x0c,
      ins,
      p1: 0x81,
      p2: 0,
      data: concat(objects, buildTlv(objectTags.mac, mac)),
      expected: 256,
    });
    const first = card.unwrap(apdu);
    return { first, again: card.unwrap(apdu), card };
  }
  const expected = (...value: number[]) => data(objectTags.expected, ...value);

  test('is taken with a data object, with the length it asks for, with both, and with neither', () => {
    const command = { cla: 0, ins: 0xb0, p1: 0x81, p2: 0 };
    const number = { data: Uint8Array.of(1, 2, 3) };
    for (const [objects, more] of [
      [new Uint8Array(), {}],
      [plain, number],
      [expected(3), { expected: 3 }],
      [expected(0), { expected: 256 }],
      [expected(1, 2), { expected: 258 }],
      [expected(0, 0), { expected: 65_536 }],
      [concat(plain, expected(3)), { ...number, expected: 3 }],
    ] as const)
      expect(opened(objects).first).toEqual({ kind: 'command', command: { ...command, ...more } });
  });

  const missing = 0x6987;
  const incorrect = 0x6988;
  test.each([
    ['two data objects', concat(plain, plain), missing],
    ['an object behind the length', concat(expected(3), plain), missing],
    ['an object of another tag', data(0x80, 1), missing],
    ['a length without bytes', expected(), missing],
    ['a length of three bytes', expected(0, 1, 2), missing],
    ['a cryptogram where none was agreed', data(0x87, 1, 2), incorrect],
  ])('with %s is refused, right MAC or not, and ends the session', (_name, objects, word) => {
    const { first, again } = opened(objects);
    expect(first).toEqual({ kind: 'refused', status: word });
    expect(again).toEqual({ kind: 'refused', status: 0x6985 });
  });

  test('in another form than agreed is refused', () => {
    const refused = { kind: 'refused', status: incorrect };
    const encrypted = { parameters: { ...aes, messages: 'encrypted' } as const };
    expect(opened(plain, encrypted).first).toEqual(refused);
    const messaging = messagingAt(1);
    const [even, odd] = [false, true].map((it) => messaging.encryptObject(Uint8Array.of(7), it));
    expect(opened(odd ?? plain, encrypted).first).toEqual(refused);
    expect(opened(even ?? plain, { ins: 0xb1 }).first).toEqual(refused);
    expect(opened(plain, { ins: 0xb1 }).first).toEqual(refused);
    expect(opened(even ?? plain, encrypted).first).toMatchObject({ command: { data: Uint8Array.of(7) } });
    expect(opened(odd ?? plain, { ins: 0xb1 }).first).toMatchObject({ command: { data: Uint8Array.of(7) } });
  });

  test('with a MAC of seven bytes, or none at all, is not protected', () => {
    expect(opened(plain, { macLength: 7 }).first).toEqual({ kind: 'refused', status: missing });
    const card = new CardChannel(aes, secrets());
    const bare = encodeCommand({ ...read, cla: 0x0c, data: concat(plain, expected(3)) });
    expect(card.unwrap(bare)).toEqual({ kind: 'refused', status: missing });
  });
});

describe('the challenge', () => {
  test('is eight bytes with 9000', () => {
    expect(toHex(parseChallenge(fromHex('01020304050607089000')))).toBe('0102030405060708');
    expect(() => parseChallenge(fromHex('6985'))).toThrow('the card gave no challenge: status 6985');
    expect(() => parseChallenge(fromHex('010203040506079000'))).toThrow('has 7 bytes instead of 8');
  });

  test('is not our own nonce, sent back', () => {
    const handshake = new TerminalHandshake({ parameters: aes, keys: keys(), random: (n) => filled(n, 1) });
    expect(() => handshake.command(filled(8, 1))).toThrow('the challenge is our own nonce');
  });
});

describe('the answer to the authentication', () => {
  const random = (length: number) => (length === 8 ? terminalSide.nonce : terminalSide.keyMaterial).slice();
  const started = () => {
    const handshake = new TerminalHandshake({ parameters: aes, keys: keys(), random });
    handshake.command(cardSide.nonce);
    return handshake;
  };
  const sealed = (card: Contribution, echo: Uint8Array) =>
    new HandshakeKeys(channelSuites['aes-128'], keys()).seal(card, echo);
  const good = sealed(cardSide, terminalSide.nonce);

  test.each([
    ['another status', good, 0x6300, 'the card answered status 6300'],
    ['a byte less', good.subarray(1), 0x9000, 'has 39 bytes instead of 40'],
    ['a byte more', concat(good, Uint8Array.of(0)), 0x9000, 'has 41 bytes instead of 40'],
    ['a wrong MAC', good.toReversed(), 0x9000, 'the answer is not authentic'],
    ['the nonce of another', sealed(cardSide, filled(8, 9)), 0x9000, 'belongs to another authentication'],
    [
      'another nonce',
      sealed({ ...cardSide, nonce: filled(8, 9) }, terminalSide.nonce),
      0x9000,
      'another authent',
    ],
    [
      'our own key material',
      sealed({ ...cardSide, keyMaterial: terminalSide.keyMaterial }, terminalSide.nonce),
      0x9000,
      'the answer is our own, sent back',
    ],
  ])('with %s is refused', (_name, body, word, said) => {
    expect(() => started().complete(joinResponse(body, word))).toThrow(said);
  });

  test('leaves nothing behind when the handshake is closed: both keys and our key material', () => {
    const handshake = started();
    handshake.prepare();
    handshake.complete(joinResponse(good, 0x9000));
    const erased = erasedBy(() => handshake.close());
    const { encryption, mac } = keys();
    expect(erased).toEqual(
      expect.arrayContaining([encryption, mac, terminalSide.keyMaterial].map((secret) => toHex(secret))),
    );
  });
});

describe.each([aes, des])('what $cipher leaves in memory', (parameters) => {
  const suite = channelSuites[parameters.cipher];
  const hex = (...given: readonly Uint8Array[]) => given.map((one) => toHex(one));

  test('of a session: nothing once it is closed, by either end, and nothing of the secrets it was given', () => {
    const { encryption, mac } = secrets(parameters);
    const [encryptionHex = '', macHex = ''] = hex(encryption, mac);
    const copies = (erased: readonly string[]) =>
      [encryptionHex, macHex].map((one) => erased.filter((it) => it === one).length);
    for (const Channel of [TerminalChannel, CardChannel]) {
      const given = secrets(parameters);
      let channel: TerminalChannel | CardChannel | undefined;
      expect(copies(erasedBy(() => (channel = new Channel(parameters, given))))).toEqual([1, 1]);
      expect(hex(given.encryption, given.mac)).toEqual(['00'.repeat(16), '00'.repeat(16)]);
      expect(copies(erasedBy(() => channel?.close()))).toEqual([1, 1]);
    }
    const messaging = messagingAt(1, parameters);
    const counter = parameters.cipher === '3des' ? '0303030301010102' : `${'00'.repeat(15)}01`;
    expect(erasedBy(() => messaging.close())).toContain(counter);
  });

  test('of a PIN: not the block that it was padded to', () => {
    const padded = toHex(Uint8Array.of(0x31, 0x32, 0x80, ...filled(suite.blockLength - 3, 0)));
    expect(erasedBy(() => messagingAt(1, parameters).encryptObject(fromHex('3132'), false))).toContain(
      padded,
    );
  });

  test('of an authentication by the card: no key, and no key material of either side', () => {
    const terminal = new HandshakeKeys(suite, keys());
    const parts = {
      parameters,
      keys: keys(),
      cardNonce: cardSide.nonce,
      random: () => cardSide.keyMaterial.slice(),
    };
    const sent = terminal.seal(terminalSide, cardSide.nonce);
    const { encryption, mac } = keys();
    const own = hex(encryption, mac, cardSide.keyMaterial);
    const contents = toHex(concat(cardSide.nonce, terminalSide.nonce, cardSide.keyMaterial));
    expect(erasedBy(() => answerMutualAuthentication(parts, sent))).toEqual(
      expect.arrayContaining([...own, toHex(terminalSide.keyMaterial), contents]),
    );
    const refused = erasedBy(() => answerMutualAuthentication(parts, sent.toReversed()));
    expect(refused).toEqual(expect.arrayContaining(own));
  });
});
