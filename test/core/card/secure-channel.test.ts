import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { encodeCommand } from '#core/apdu/command.ts';
import { joinResponse } from '#core/apdu/response.ts';
import { concat, fromHex, toHex, xor } from '#core/bytes/bytes.ts';
import { buildTlv } from '#core/bytes/tlv.ts';
import { CardChannel } from '#core/card/channel/mutual/card-channel.ts';
import { answerMutualAuthentication } from '#core/card/channel/mutual/card-side.ts';
import { type ChannelParameters, deriveSession, HandshakeKeys } from '#core/card/channel/mutual/messages.ts';
import { objectTags, SecureMessaging } from '#core/card/channel/mutual/secure-messaging.ts';
import { channelSuites } from '#core/card/channel/mutual/suite.ts';
import { TerminalChannel } from '#core/card/channel/mutual/terminal-channel.ts';
import { TerminalHandshake } from '#core/card/channel/mutual/terminal-side.ts';
import { digest } from '#core/crypto/digest.ts';
import { erasedBy } from '../erased.ts';
import { joinedMutually } from './joined-channels.ts';
import { secondAuthenticate } from './second-implementation.ts';

const shipped: ChannelParameters = { cipher: 'aes-128', sessionKeys: 'sha-256', messages: 'authenticated' };

const bytes = (length: number) => new Uint8Array(randomBytes(length));

describe('a PIN', () => {
  const digits = new TextEncoder().encode('12345678');

  test('in the clear is refused by the card, right MAC or not', () => {
    const secrets = () =>
      deriveSession(
        shipped,
        { nonce: new Uint8Array(8), keyMaterial: new Uint8Array(16) },
        { nonce: new Uint8Array(8).fill(1), keyMaterial: new Uint8Array(16).fill(1) },
      );
    const clear = (ins: number) => {
      const messaging = new SecureMessaging(shipped, secrets());
      messaging.advanceCounter();
      const header = Uint8Array.of(0x0c, ins, 0x00, 0x81);
      const object = buildTlv(objectTags.plain, digits);
      const mac = buildTlv(objectTags.mac, messaging.macOf(header, object));
      return encodeCommand({ cla: 0x0c, ins, p1: 0x00, p2: 0x81, data: concat(object, mac), expected: 256 });
    };
    expect(new CardChannel(shipped, secrets()).unwrap(clear(0xd6)).kind).toBe('command');
    expect(new CardChannel(shipped, secrets()).unwrap(clear(0x20))).toEqual({
      kind: 'refused',
      status: 0x6988,
    });
  });
});

test('a closed channel cannot be used', () => {
  const { terminal, card } = joinedMutually(shipped);
  const wrapped = terminal.wrap({ cla: 0, ins: 0xb0, p1: 0, p2: 0, expected: 1 });
  card.unwrap(wrapped);
  const answer = card.wrap(Uint8Array.of(1), 0x9000);
  terminal.close();
  terminal.close();
  expect(() => terminal.unwrap(answer)).toThrow(expect.objectContaining({ code: 'card-channel-closed' }));
});

describe('the handshake', () => {
  const keys = { encryption: bytes(16), mac: bytes(16) };

  test('the card refuses a terminal with other keys, another challenge, or its own cryptogram', () => {
    const cardNonce = bytes(8);
    const start = (nonce: Uint8Array, mac = keys.mac) =>
      new TerminalHandshake({
        parameters: shipped,
        keys: { encryption: keys.encryption, mac },
        random: bytes,
      })
        .command(nonce)
        .subarray(5, 45);
    const parts = { parameters: shipped, keys, cardNonce, random: bytes };
    const good = start(cardNonce);
    const accepted = answerMutualAuthentication(parts, good);
    expect(accepted).toBeDefined();
    expect(answerMutualAuthentication(parts, start(cardNonce, bytes(16)))).toBeUndefined();
    expect(answerMutualAuthentication(parts, start(bytes(8)))).toBeUndefined();
    expect(answerMutualAuthentication(parts, accepted?.answer ?? good)).toBeUndefined();
    expect(answerMutualAuthentication(parts, good.subarray(0, 39))).toBeUndefined();
  });

  test('equal key material on both sides is refused, since the seed would be zero', () => {
    const filled = (value: number) => (length: number) => new Uint8Array(length).fill(value);
    const cardNonce = bytes(8);
    const terminal = { parameters: shipped, keys, cardNonce, random: filled(9) };
    const sealed = new TerminalHandshake(terminal).command(terminal.cardNonce).subarray(5, 45);
    expect(answerMutualAuthentication({ ...terminal, random: filled(8) }, sealed)).toBeDefined();
    expect(answerMutualAuthentication({ ...terminal, random: filled(9) }, sealed)).toBeUndefined();
  });

  describe('with a card that knows the keys', () => {
    const own = { nonce: new Uint8Array(8).fill(9), keyMaterial: new Uint8Array(16).fill(9) };
    const cardNonce = bytes(8);
    const honest = { nonce: cardNonce, keyMaterial: bytes(16) };

    function answered(card: { nonce: Uint8Array; keyMaterial: Uint8Array }, echo: Uint8Array) {
      const handshake = new TerminalHandshake({
        parameters: shipped,
        keys,
        random: (length) => new Uint8Array(length).fill(9),
      });
      handshake.command(cardNonce);
      const sealed = new HandshakeKeys(channelSuites['aes-128'], keys).seal(card, echo);
      return () => handshake.complete(joinResponse(sealed, 0x9000));
    }

    test('its key material is zeroed, whatever becomes of its answer', () => {
      const material = toHex(honest.keyMaterial);
      expect(erasedBy(answered(honest, own.nonce))).toContain(material);
      const refused = answered(honest, bytes(8));
      expect(erasedBy(() => expect(refused).toThrow())).toContain(material);
    });

    test('what the session keys are cut from is zeroed', () => {
      const erased = erasedBy(() => deriveSession(shipped, own, honest));
      const seed = toHex(xor(own.keyMaterial, honest.keyMaterial));
      const inputs = ['00000001', '00000002'].map((c) => seed + c);
      const digests = inputs.map((input) => toHex(digest(shipped.sessionKeys, fromHex(input))));
      expect(erased).toEqual(expect.arrayContaining([seed, ...inputs, ...digests]));
    });

    test('its answer is taken', () => {
      expect(answered(honest, own.nonce)()).toBeInstanceOf(TerminalChannel);
    });

    test.each([
      ['our own key material', { ...honest, keyMaterial: own.keyMaterial }, own.nonce],
      ['another nonce than it gave', { ...honest, nonce: bytes(8) }, own.nonce],
      ['another nonce than ours', honest, bytes(8)],
    ])('but not with %s', (_name, card, echo) => {
      expect(answered(card, echo)).toThrow(expect.objectContaining({ code: 'card-authentication-failed' }));
    });
  });
});

test('a handshake is completed after its command', () => {
  const keys = { encryption: bytes(16), mac: bytes(16) };
  const handshake = new TerminalHandshake({ parameters: shipped, keys, random: bytes });
  expect(() => handshake.complete(joinResponse(bytes(40), 0x9000))).toThrow('after its command');
});

describe('an authentic answer', () => {
  const secrets = () =>
    deriveSession(
      shipped,
      { nonce: new Uint8Array(8), keyMaterial: new Uint8Array(16) },
      { nonce: new Uint8Array(8).fill(1), keyMaterial: new Uint8Array(16).fill(1) },
    );
  const object = (tag: number) => buildTlv(tag, Uint8Array.of(1, 2, 3));
  const status = buildTlv(objectTags.status, Uint8Array.of(0x90, 0x00));

  /** A right MAC over whatever objects a faulty card may send. */
  function unwrapped(messages: ChannelParameters['messages'], ...objects: Uint8Array[]) {
    const terminal = new TerminalChannel({ ...shipped, messages }, secrets());
    terminal.wrap({ cla: 0, ins: 0xb0, p1: 0, p2: 0, expected: 3 });
    const messaging = new SecureMessaging(shipped, secrets());
    messaging.advanceCounter();
    messaging.advanceCounter();
    const covered = concat(...objects);
    const mac = buildTlv(objectTags.mac, messaging.macOf(undefined, covered));
    return () => terminal.unwrap(joinResponse(concat(covered, mac), 0x9000));
  }

  test('has one data object, or none', () => {
    expect(unwrapped('authenticated', object(0x81), status)().data).toEqual(Uint8Array.of(1, 2, 3));
    expect(unwrapped('authenticated', status)().data).toHaveLength(0);
    for (const objects of [
      [object(0x81), object(0x81), status],
      [object(0x81), status, status],
      [status, object(0x81)],
      [object(0x81)],
      [],
    ]) {
      const code = 'card-message-not-authentic';
      expect(unwrapped('authenticated', ...objects)).toThrow(expect.objectContaining({ code }));
    }
  });

  test.each([
    ['authenticated', 0x87],
    ['authenticated', 0x85],
    ['authenticated', 0x80],
    ['encrypted', 0x81],
    ['encrypted', 0x85],
    // the agreed tag, but no cryptogram of whole blocks
    ['encrypted', 0x87],
  ] as const)('of a channel that is %s has its data in no DO %i', (messages, tag) => {
    const code = 'card-answer-malformed';
    expect(unwrapped(messages, object(tag), status)).toThrow(expect.objectContaining({ code }));
  });
});

test('AES-128, SHA-256 and DO 81 agree with an implementation of their own on another library', async () => {
  const keys = { encryption: bytes(16), mac: bytes(16) };
  const card = { nonce: bytes(8), keyMaterial: bytes(16) };
  const handshake = new TerminalHandshake({
    parameters: shipped,
    keys,
    random: bytes,
  });
  const { answer, session } = await secondAuthenticate(
    keys,
    handshake.command(card.nonce).slice(5, 45),
    card,
  );
  const terminal = handshake.complete(joinResponse(answer, 0x9000));
  const data = (length: number) => Uint8Array.from({ length }, (_, i) => i + length);
  const exchanges = [
    {
      command: { ins: 0xb0, p1: 0x81, p2: 0, expected: 12 },
      form: 'none',
      answer: data(12),
      sw: [0x90, 0x00],
    },
    {
      command: { ins: 0xa4, p1: 2, p2: 0x0c, data: data(2) },
      form: 'plain',
      answer: data(0),
      sw: [0x90, 0x00],
    },
    { command: { ins: 0x20, p1: 0, p2: 0x81 }, form: 'none', answer: data(0), sw: [0x63, 0xc3] },
    {
      command: { ins: 0x20, p1: 0, p2: 0x81, data: data(4) },
      form: 'encrypted',
      answer: data(0),
      sw: [0x63, 0xc2],
    },
    {
      command: { ins: 0x24, p1: 0, p2: 0x81, data: data(16) },
      form: 'encrypted',
      answer: data(0),
      sw: [0x90, 0x00],
    },
    {
      command: { ins: 0xd6, p1: 0, p2: 0, data: data(150), expected: 256 },
      form: 'plain',
      answer: data(200),
      sw: [0x62, 0x82],
    },
  ] as const;
  for (const { command, form, answer: reply, sw } of exchanges) {
    const opened = await session.open(new Uint8Array(terminal.wrap({ cla: 0, ...command })));
    expect(opened).toMatchObject({ form, header: Uint8Array.of(0x0c, command.ins, command.p1, command.p2) });
    expect(opened.data).toEqual('data' in command ? command.data : data(0));
    expect(opened.le).toBe('expected' in command ? command.expected : undefined);
    const taken = terminal.unwrap(await session.answer(reply, sw[0], sw[1]));
    expect(taken).toEqual({ data: reply, status: (sw[0] << 8) | sw[1], authentic: true, encrypted: false });
  }
});
