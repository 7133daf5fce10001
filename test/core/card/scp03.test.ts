import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { parseCommand } from '#core/apdu/command.ts';
import { joinResponse } from '#core/apdu/response.ts';
import { concat, fromHex, toHex } from '#core/bytes/bytes.ts';
import { Scp03CardChannel } from '#core/card/channel/scp03/card-channel.ts';
import { Scp03CardHandshake } from '#core/card/channel/scp03/card-side.ts';
import { deriveScp03, type Scp03Parameters } from '#core/card/channel/scp03/messages.ts';
import { Scp03Session } from '#core/card/channel/scp03/session.ts';
import { Scp03TerminalChannel } from '#core/card/channel/scp03/terminal-channel.ts';
import { Scp03TerminalHandshake } from '#core/card/channel/scp03/terminal-side.ts';
import { AesCmac } from '#core/crypto/cmac.ts';
import { erasedBy } from '../erased.ts';
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
    ['another protocol', changed(11, 0x02), 'it is no answer of SCP03'],
    ['16-byte mode', changed(12, 0x61), 'challenges have another length'],
    ['a sequence counter that is not there', changed(12, 0x70), 'SCP03 answer has 29 bytes'],
    ['a sequence counter that was not announced', concat(good, new Uint8Array(3)), 'answer has 32 bytes'],
    ['less', good.subarray(0, -1), 'its SCP03 answer has 28 bytes'],
    ['more', concat(good, new Uint8Array(1)), 'its SCP03 answer has 30 bytes'],
    ['nothing', new Uint8Array(), 'it is no answer of SCP03'],
    ['the answer of 16-byte mode', cardHandshake({ mode: 's16' }).answer(), 'have another length'],
  ])('with %s is malformed', (_name, answer, said) => {
    const code = 'card-answer-malformed';
    const taken = () => handshake().takeCardData(answered(answer));
    expect(taken).toThrow(expect.objectContaining({ code }));
    expect(taken).toThrow(/^the card's answer is malformed: /);
    expect(taken).toThrow(said);
  });

  test('of 8-byte mode is malformed where the profile has 16', () => {
    const code = 'card-answer-malformed';
    expect(() => handshake({ mode: 's16' }).takeCardData(answered(good))).toThrow(
      expect.objectContaining({ code }),
    );
  });

  test.each(['6A88', '6982', '6D00', '6285'])('%s is told', (status) => {
    const code = 'card-answer-status';
    const refused = () => handshake().takeCardData(concat(good, fromHex(status)));
    expect(refused).toThrow(expect.objectContaining({ code }));
    expect(refused).toThrow(`the card did not take INITIALIZE UPDATE: status ${status}`);
  });
});

describe('EXTERNAL AUTHENTICATE', () => {
  test('is not sent to a card that does not know the keys', () => {
    const terminal = handshake();
    const others = { ...keys, mac: new Uint8Array(16).fill(7) };
    terminal.takeCardData(answered(cardHandshake({ cardKeys: others }).answer()));
    const code = 'card-authentication-failed';
    expect(() => terminal.externalAuthenticate(keys)).toThrow(expect.objectContaining({ code }));
    expect(() => terminal.externalAuthenticate(keys)).toThrow(
      'mutual authentication failed: the card cryptogram is wrong',
    );
    terminal.close();
  });

  test.each([
    ['6300', 'card-authentication-failed', 'the card answered status 6300'],
    ['6982', 'card-authentication-failed', 'the card answered status 6982'],
    ['009000', 'card-answer-malformed', 'its answer to EXTERNAL AUTHENTICATE has data'],
    ['', 'card-answer-malformed', '0 bytes, which is no response APDU'],
  ])('answered by %j opens nothing: %s', (answer, code, said) => {
    const terminal = handshake();
    terminal.takeCardData(answered(cardHandshake().answer()));
    terminal.externalAuthenticate(keys);
    terminal.prepare();
    expect(() => terminal.complete(fromHex(answer))).toThrow(expect.objectContaining({ code }));
    expect(() => terminal.complete(fromHex(answer))).toThrow(said);
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

  test.each([
    [0x02, 0],
    [0x00, 0],
    [0x33, 1],
  ])('at level %i with P2 %i is refused though its MAC is right', (p1, p2) => {
    const context = concat(new Uint8Array(8).fill(9), new Uint8Array(8).fill(3));
    const forging = new Scp03Session(parameters, keys, context);
    const data = forging.cryptogram('hostCryptogram');
    expect(cardHandshake().accept(forging.withMac({ cla: 0x84, ins: 0x82, p1, p2, data }))).toBeUndefined();
  });
});

describe('an answer in the session', () => {
  const joined = (level: Scp03Parameters['level']) => {
    const { channel, card } = sessions(level);
    card.checkMac(channel.wrap(read));
    card.advanceCounter();
    return { channel, card };
  };

  test.each(['11', '13', '33'] as const)('at level %s is nothing without its MAC', (level) => {
    const content = new Uint8Array(16);
    for (const [body, said] of [
      [content.subarray(0, 7), 'it has no MAC'],
      [new Uint8Array(), 'it has no MAC'],
      [new Uint8Array(8), 'its MAC is wrong'],
      [concat(content, new Uint8Array(8)), 'its MAC is wrong'],
    ] as const) {
      const { channel } = joined(level);
      const code = 'card-message-not-authentic';
      const answer = joinResponse(body, 0x9000);
      let thrown: unknown;
      const erased = erasedBy(() => {
        try {
          channel.unwrap(answer);
        } catch (error) {
          thrown = error;
        }
      });
      expect(thrown).toMatchObject({ code, message: expect.stringContaining(said) });
      // both MAC keys, the encryption key, the chain and the counter
      expect(erased.length).toBeGreaterThanOrEqual(4);
      expect(() => channel.wrap(read)).toThrow('the secure channel to the card is closed');
    }
  });

  test('with a right MAC over another status is not authentic', () => {
    const { channel, card } = joined('11');
    const mac = card.responseMac(new Uint8Array(), 0x9000);
    expect(() => channel.unwrap(joinResponse(mac, 0x6282))).toThrow('its MAC is wrong');
  });
});

describe('a command in the session', () => {
  test('that is empty is not encrypted, and is the same as one without data', () => {
    const [one, other] = [sessions(), sessions()];
    expect(one.channel.wrap({ ...read, data: new Uint8Array() })).toEqual(other.channel.wrap(read));
  });

  test('carries no PIN where nothing is encrypted, and the session goes on', () => {
    const { channel, card } = sessions('11');
    expect(() => channel.wrap({ ...read, ins: 0x20, data: new Uint8Array(4) })).toThrow(
      'a PIN on a channel that does not encrypt commands',
    );
    expect(card.checkMac(channel.wrap({ ...read, ins: 0x20 }))).toBeDefined();
  });

  test('with a wrong MAC, one too short, or none ends the session on the card, and its keys', () => {
    const good = sessions().channel.wrap(read);
    const changed = good.map((byte, i) => (i === 6 ? byte ^ 1 : byte));
    for (const apdu of [changed, fromHex('04B0810004AABBCCDD0C'), fromHex('04B081000C')]) {
      const { card } = sessions();
      const channel = new Scp03CardChannel(card);
      let opened: unknown;
      const erased = erasedBy(() => {
        opened = channel.unwrap(apdu);
      });
      expect(opened).toEqual({ kind: 'refused', status: 0x6982 });
      expect(erased.length).toBeGreaterThanOrEqual(3);
      expect(channel.unwrap(good)).toEqual({ kind: 'refused', status: 0x6985 });
    }
  });
});

describe('nothing stays in memory', () => {
  const context = new Uint8Array(16).fill(4);
  const hexKeys = [toHex(keys.encryption), toHex(keys.mac)];
  const times = (erased: readonly string[], secret: string) => erased.filter((it) => it === secret).length;
  const derived = (key: Uint8Array, constant: 'sEnc' | 'sMac' | 'sRmac') =>
    toHex(deriveScp03(new AesCmac(key), constant, context, 16));

  test('of the static keys once a session is prepared, and of the session keys as they are made', () => {
    const session = new Scp03Session(parameters, keys, context);
    const erased = erasedBy(() => session.prepare());
    // the copy of the encryption key and that of the cipher made of it; the MAC key's cipher
    expect([times(erased, hexKeys[0] ?? ''), times(erased, hexKeys[1] ?? '')]).toEqual([2, 1]);
    expect(erased).toEqual(
      expect.arrayContaining([derived(keys.encryption, 'sEnc'), derived(keys.mac, 'sRmac')]),
    );
    expect(erasedBy(() => new Scp03Session(parameters, keys, context))).toContain(derived(keys.mac, 'sMac'));
  });

  test('of a session that was closed before it was prepared', () => {
    const session = new Scp03Session(parameters, keys, context);
    const erased = erasedBy(() => session.close());
    expect(erased).toEqual(expect.arrayContaining([...hexKeys, derived(keys.mac, 'sMac')]));
  });

  test('of a session that is closed: its keys, the chain of its MACs and its counter', () => {
    const { channel, card } = sessions();
    const apdu = channel.wrap(read);
    card.checkMac(apdu);
    card.advanceCounter();
    const erased = erasedBy(() => card.close());
    const secrets = [
      derived(keys.mac, 'sMac'),
      derived(keys.encryption, 'sEnc'),
      derived(keys.mac, 'sRmac'),
      `${'00'.repeat(15)}01`,
    ];
    expect(erased).toEqual(expect.arrayContaining(secrets));
    // the C-MAC is the first half of the chain
    const mac = toHex(apdu.subarray(5, 13));
    expect(erased.some((it) => it.startsWith(mac))).toBe(true);
  });

  test('of what was padded to be encrypted', () => {
    const { card } = sessions();
    expect(erasedBy(() => card.encrypt(fromHex('3132'), 'command'))).toContain(`313280${'00'.repeat(13)}`);
  });

  test('of a handshake, whether it came to an end or not', () => {
    const terminal = handshake();
    terminal.takeCardData(answered(cardHandshake().answer()));
    terminal.externalAuthenticate(keys);
    expect(erasedBy(() => terminal.close())).toEqual(expect.arrayContaining(hexKeys));
    const card = cardHandshake();
    expect(erasedBy(() => card.answer())).toEqual(expect.arrayContaining(hexKeys));
    const refused = erasedBy(() => card.accept(fromHex(`8482330010${'00'.repeat(16)}`)));
    expect(refused).toEqual(expect.arrayContaining(hexKeys));
    const pseudoRandom = erasedBy(
      () =>
        new Scp03CardHandshake(
          {
            ...{ cipher: 'aes-128', mode: 's8', keys, keyVersion: 5, diversifier: new Uint8Array(10) },
            challenge: { sequence: 1, aid: new Uint8Array(10) },
          },
          new Uint8Array(8),
        ),
    );
    expect(pseudoRandom).toContain(hexKeys[0]);
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
  expect(sessions().card.decrypt(new Uint8Array(), 'command')).toBeUndefined();
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
