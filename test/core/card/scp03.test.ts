import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { parseCommand } from '#core/apdu/command.ts';
import { joinResponse } from '#core/apdu/response.ts';
import { concat, fromHex, toHex } from '#core/bytes/bytes.ts';
import { Scp03CardHandshake } from '#core/card/channel/scp03/card-side.ts';
import type { Scp03Parameters } from '#core/card/channel/scp03/messages.ts';
import { Scp03Session } from '#core/card/channel/scp03/session.ts';
import { Scp03TerminalChannel } from '#core/card/channel/scp03/terminal-channel.ts';
import { Scp03TerminalHandshake } from '#core/card/channel/scp03/terminal-side.ts';
import { SecondScp03Session } from './second-scp03.ts';

const parameters: Scp03Parameters = { cipher: 'aes-128', level: '33', mode: 's8' };
const keys = { encryption: new Uint8Array(16).fill(1), mac: new Uint8Array(16).fill(2) };
const read = { cla: 0, ins: 0xb0, p1: 0x81, p2: 0, expected: 12 };

const handshake = (changes: Partial<Scp03Parameters> = {}) =>
  new Scp03TerminalHandshake({
    parameters: { ...parameters, ...changes },
    askedKeyVersion: 0,
    random: (length) => new Uint8Array(length).fill(9),
  });

const cardHandshake = (changes: { mode?: 's8' | 's16'; cardKeys?: typeof keys } = {}) => {
  const { mode = 's8', cardKeys = keys } = changes;
  const length = mode === 's16' ? 16 : 8;
  return new Scp03CardHandshake(
    {
      cipher: 'aes-128',
      mode,
      keys: cardKeys,
      keyVersion: 5,
      diversifier: new Uint8Array(10),
      challenge: new Uint8Array(length).fill(3),
    },
    new Uint8Array(length).fill(9),
  );
};

const answered = (answer: Uint8Array) => joinResponse(answer, 0x9000);

describe('the answer to INITIALIZE UPDATE', () => {
  const good = cardHandshake().answer();
  const changed = (place: number, value: number) => good.map((byte, i) => (i === place ? value : byte));

  test('is taken with every bit of i that says nothing of its form', () => {
    for (const options of [0x00, 0x20, 0x60, 0xee]) {
      expect(handshake().takeCardData(answered(changed(12, options))).keyVersion).toBe(5);
    }
  });

  test.each([
    ['another protocol', changed(11, 0x02)],
    ['16-byte mode', changed(12, 0x61)],
    ['a sequence counter that is not there', changed(12, 0x70)],
    ['a sequence counter that was not announced', concat(good, new Uint8Array(3))],
    ['less', good.subarray(0, -1)],
    ['more', concat(good, new Uint8Array(1))],
    ['nothing', new Uint8Array()],
    ['the answer of 16-byte mode', cardHandshake({ mode: 's16' }).answer()],
  ])('with %s is malformed', (_name, answer) => {
    const code = 'card-answer-malformed';
    expect(() => handshake().takeCardData(answered(answer))).toThrow(expect.objectContaining({ code }));
  });

  test('of 8-byte mode is malformed where the profile has 16', () => {
    const code = 'card-answer-malformed';
    expect(() => handshake({ mode: 's16' }).takeCardData(answered(good))).toThrow(
      expect.objectContaining({ code }),
    );
  });

  test.each(['6A88', '6982', '6D00', '6285'])('%s is told', (status) => {
    const code = 'card-answer-status';
    expect(() => handshake().takeCardData(concat(good, fromHex(status)))).toThrow(
      expect.objectContaining({ code }),
    );
  });
});

describe('EXTERNAL AUTHENTICATE', () => {
  test('is not sent to a card that does not know the keys', () => {
    const terminal = handshake();
    const others = { ...keys, mac: new Uint8Array(16).fill(7) };
    terminal.takeCardData(answered(cardHandshake({ cardKeys: others }).answer()));
    const code = 'card-authentication-failed';
    expect(() => terminal.externalAuthenticate(keys)).toThrow(expect.objectContaining({ code }));
    terminal.close();
  });

  test.each([
    ['6300', 'card-authentication-failed'],
    ['6982', 'card-authentication-failed'],
    ['009000', 'card-answer-malformed'],
    ['', 'card-answer-malformed'],
  ])('answered by %j opens nothing: %s', (answer, code) => {
    const terminal = handshake();
    terminal.takeCardData(answered(cardHandshake().answer()));
    terminal.externalAuthenticate(keys);
    terminal.prepare();
    expect(() => terminal.complete(fromHex(answer))).toThrow(expect.objectContaining({ code }));
  });

  test('the card takes it once with the level, the cryptogram and the MAC that belong together', () => {
    const terminal = handshake();
    terminal.takeCardData(answered(cardHandshake().answer()));
    const command = terminal.externalAuthenticate(keys);
    expect(cardHandshake().accept(command)).toBeDefined();
    for (const place of [2, 3, 5, 13, 20]) {
      const wrong = command.map((byte, i) => (i === place ? byte ^ 0x02 : byte));
      expect(cardHandshake().accept(wrong), `byte ${place}`).toBeUndefined();
    }
    // a right MAC over a wrong cryptogram
    const context = concat(new Uint8Array(8).fill(9), new Uint8Array(8).fill(3));
    const forged = new Scp03Session(parameters, keys, context).withMac({
      ...parseCommand(command),
      cla: 0x84,
      ins: 0x82,
      p1: 0x33,
      p2: 0,
      data: new Uint8Array(8),
    });
    expect(cardHandshake().accept(forged)).toBeUndefined();
  });
});

test('the steps of the handshake have an order', () => {
  expect(() => handshake().externalAuthenticate(keys)).toThrow('follows INITIALIZE UPDATE');
  expect(() => handshake().prepare()).toThrow('after EXTERNAL AUTHENTICATE');
  handshake().close();
});

function sessions(level: Scp03Parameters['level'] = '33') {
  const context = new Uint8Array(16).fill(4);
  const [terminal, card] = [0, 1].map(() => {
    const session = new Scp03Session({ ...parameters, level }, keys, context);
    session.prepare();
    return session;
  });
  if (!terminal || !card) throw new Error('two sessions');
  return { channel: new Scp03TerminalChannel(terminal), card };
}

test('an authentic answer whose cryptogram is no padded block is malformed', () => {
  for (const content of [new Uint8Array(15), new Uint8Array(16), new Uint8Array(17)]) {
    const { channel, card } = sessions();
    card.checkMac(channel.wrap(read));
    card.advanceCounter();
    const answer = joinResponse(concat(content, card.responseMac(content, 0x9000)), 0x9000);
    const code = 'card-answer-malformed';
    expect(() => channel.unwrap(answer)).toThrow(expect.objectContaining({ code }));
    expect(() => channel.wrap(read)).toThrow(expect.objectContaining({ code: 'card-channel-closed' }));
  }
});

test('a session protects nothing before it is prepared, and nothing once closed', () => {
  const early = new Scp03Session(parameters, keys, new Uint8Array(16));
  expect(() => early.encrypt(new Uint8Array(1), 'command')).toThrow('not prepared');
  const { card } = sessions();
  card.close();
  card.close();
  expect(() => card.encrypt(new Uint8Array(1), 'command')).toThrow('closed');
  expect(() => card.responseMac(new Uint8Array(1), 0x9000)).toThrow('closed');
});

test('commands and answers of every length and count keep in step', () => {
  const { channel, card } = sessions();
  for (let count = 0; count < 600; count += 1) {
    const data = new Uint8Array(count % 300).fill(count);
    const command = { cla: 0x80, ins: 0xe2, p1: 0, p2: 0, ...(data.length > 0 && { data }) };
    const checked = card.checkMac(channel.wrap(command));
    card.advanceCounter();
    expect(checked?.data ? card.decrypt(checked.data, 'command') : new Uint8Array()).toEqual(data);
    const content = data.length > 0 ? card.encrypt(data, 'response') : data;
    const answer = joinResponse(concat(content, card.responseMac(content, 0x9000)), 0x9000);
    expect(toHex(channel.unwrap(answer).data)).toBe(toHex(data));
  }
});

describe('agrees with an implementation of its own on another library', () => {
  const ciphers = [
    ['aes-128', 16],
    ['aes-192', 24],
    ['aes-256', 32],
  ] as const;
  const modes = [
    ['s8', 8],
    ['s16', 16],
  ] as const;
  const cases = ciphers.flatMap(([cipher, keyLength]) =>
    modes.map(([mode, length]) => ({ cipher, keyLength, mode, length })),
  );

  test.each(cases)('$cipher, $mode', async ({ cipher, keyLength, mode, length }) => {
    const bytes = (count: number) => new Uint8Array(randomBytes(count));
    const own = { encryption: bytes(keyLength), mac: bytes(keyLength) };
    const card = new SecondScp03Session({ ...own, length, challenge: bytes(length) });
    const terminal = new Scp03TerminalHandshake({
      parameters: { cipher, mode, level: '33' },
      askedKeyVersion: 0,
      random: bytes,
    });
    terminal.takeCardData(answered(await card.initialize(new Uint8Array(terminal.initializeUpdate()))));
    await card.externalAuthenticate(new Uint8Array(terminal.externalAuthenticate(own)));
    terminal.prepare();
    const channel = terminal.complete(fromHex('9000'));
    for (const [size, sw1, sw2] of [
      [0, 0x90, 0x00],
      [1, 0x62, 0x82],
      [15, 0x90, 0x00],
      [16, 0x63, 0xc2],
      [100, 0x90, 0x00],
    ] as const) {
      const data = bytes(size);
      const command = { cla: 0, ins: 0xd6, p1: 1, p2: 2, expected: 256, ...(size > 0 && { data }) };
      expect(await card.open(new Uint8Array(channel.wrap(command)))).toEqual(data);
      const answer = bytes(2 * size);
      expect(channel.unwrap(await card.answer(answer, sw1, sw2))).toEqual({
        data: answer,
        status: (sw1 << 8) | sw2,
        authentic: true,
        encrypted: size > 0,
      });
    }
  });
});
