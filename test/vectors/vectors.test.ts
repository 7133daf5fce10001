import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseCommand } from '#core/apdu/command.ts';
import { joinResponse, splitResponse } from '#core/apdu/response.ts';
import { concat, fromHex, toHex } from '#core/bytes/bytes.ts';
import { CardChannel } from '#core/card/channel/mutual/card-channel.ts';
import { answerMutualAuthentication } from '#core/card/channel/mutual/card-side.ts';
import { type ChannelParameters, deriveSession } from '#core/card/channel/mutual/messages.ts';
import { TerminalChannel } from '#core/card/channel/mutual/terminal-channel.ts';
import { TerminalHandshake } from '#core/card/channel/mutual/terminal-side.ts';
import { AesCbc } from '#core/crypto/aes.ts';
import { AesCmac } from '#core/crypto/cmac.ts';
import { digest } from '#core/crypto/digest.ts';
import { padIso9797 } from '#core/crypto/padding.ts';

const read = (name: string) => JSON.parse(readFileSync(new URL(name, import.meta.url), 'utf8'));

/** Hands out the given values in turn, each of the length asked for. */
function fixedRandom(...values: readonly string[]): (length: number) => Uint8Array {
  const queue = values.map(fromHex);
  return (length) => {
    const next = queue.shift();
    if (next?.length !== length) throw new Error(`no random value of ${length} bytes is left`);
    return next;
  };
}

describe('AES-CMAC', () => {
  const { message, sets } = read('aes-cmac.json');
  for (const { key, macs } of sets) {
    test.each(Object.entries<string>(macs))('of %s bytes', (length, mac) => {
      expect(toHex(new AesCmac(fromHex(key)).mac(fromHex(message).subarray(0, Number(length))))).toBe(mac);
    });
  }
});

describe('basic access control (ICAO Doc 9303-11, appendix D)', () => {
  const v = read('icao-bac.json');
  const parameters: ChannelParameters = { cipher: '3des', sessionKeys: 'sha-1', messages: 'encrypted' };
  const keys = () => ({ encryption: fromHex(v.kEnc), mac: fromHex(v.kMac) });
  const terminalSide = { nonce: fromHex(v.rndIfd), keyMaterial: fromHex(v.kIfd) };
  const cardSide = { nonce: fromHex(v.rndIc), keyMaterial: fromHex(v.kIc) };

  function join() {
    const handshake = new TerminalHandshake({
      parameters,
      keys: keys(),
      random: fixedRandom(v.rndIfd, v.kIfd),
    });
    const command = handshake.command(fromHex(v.rndIc));
    const sealed = parseCommand(command)?.data ?? new Uint8Array();
    const card = answerMutualAuthentication(
      { parameters, keys: keys(), cardNonce: fromHex(v.rndIc), random: fixedRandom(v.kIc) },
      sealed,
    );
    if (!card) throw new Error('the card refused');
    const response = joinResponse(card.answer, 0x9000);
    return { command, response, terminal: handshake.complete(response), card: card.channel };
  }

  test('mutual authentication, byte for byte', () => {
    const { command, response } = join();
    expect(toHex(command)).toBe(v.command);
    expect(toHex(command.subarray(5, 37))).toBe(v.eIfd);
    expect(toHex(command.subarray(37, 45))).toBe(v.mIfd);
    expect(toHex(response)).toBe(v.response);
  });

  test('session keys and counter', () => {
    const secrets = deriveSession(parameters, terminalSide, cardSide);
    expect(toHex(secrets.encryption)).toBe(v.ksEnc);
    expect(toHex(secrets.mac)).toBe(v.ksMac);
    expect(toHex(secrets.counter)).toBe(v.ssc);
  });

  test('protected exchanges, both ends, byte for byte', () => {
    const { terminal, card } = join();
    expect(v.exchanges).toHaveLength(3);
    for (const { plainCommand, protectedCommand, protectedResponse, plainResponse } of v.exchanges) {
      const command = parseCommand(fromHex(plainCommand));
      if (!command) throw new Error('not a command');
      const wrapped = terminal.wrap(command);
      expect(toHex(wrapped)).toBe(protectedCommand);
      expect(card.unwrap(wrapped)).toEqual({ kind: 'command', command });
      const { data, status } = splitResponse(fromHex(plainResponse));
      const answered = card.wrap(data, status);
      expect(toHex(answered)).toBe(protectedResponse);
      const opened = terminal.unwrap(answered);
      expect(toHex(joinResponse(opened.data, opened.status))).toBe(plainResponse);
    }
  });

  test('the same response a second time is refused, and the channel is dead', () => {
    const { terminal, card } = join();
    const { plainCommand, protectedResponse } = v.exchanges[0];
    const command = parseCommand(fromHex(plainCommand));
    if (!command) throw new Error('not a command');
    card.unwrap(terminal.wrap(command));
    terminal.unwrap(fromHex(protectedResponse));
    terminal.wrap(command);
    expect(() => terminal.unwrap(fromHex(protectedResponse))).toThrow(
      expect.objectContaining({ code: 'card-message-not-authentic' }),
    );
    expect(() => terminal.wrap(command)).toThrow(expect.objectContaining({ code: 'card-channel-closed' }));
  });

  test('the channels agree with the published keys', () => {
    const terminal = new TerminalChannel(parameters, deriveSession(parameters, terminalSide, cardSide));
    const card = new CardChannel(parameters, deriveSession(parameters, terminalSide, cardSide));
    const command = { cla: 0, ins: 0xb0, p1: 0, p2: 0, expected: 4 };
    expect(card.unwrap(terminal.wrap(command))).toEqual({ kind: 'command', command });
  });
});

describe('residence card, second generation', () => {
  const v = read('jp-mutual.json').generation2;
  const parameters: ChannelParameters = { cipher: 'aes-128', sessionKeys: 'sha-1', messages: 'encrypted' };
  const number = new TextEncoder().encode(v.number);
  const keys = () => ({ encryption: fromHex(v.k), mac: fromHex(v.k) });

  test('static key', () => {
    expect(toHex(digest('sha-1', number).subarray(0, 16))).toBe(v.k);
  });

  test('mutual authentication, both sides, byte for byte', () => {
    const handshake = new TerminalHandshake({
      parameters,
      keys: keys(),
      random: fixedRandom(v.rndIfd, v.kIfd),
    });
    const command = handshake.command(fromHex(v.rndIcc));
    expect(toHex(command)).toBe(`0082000028${v.eIfd}${v.mIfd}28`);
    const card = answerMutualAuthentication(
      { parameters, keys: keys(), cardNonce: fromHex(v.rndIcc), random: fixedRandom(v.kIcc) },
      command.subarray(5, 45),
    );
    expect(card && toHex(card.answer)).toBe(`${v.eIcc}${v.mIcc}`);
    const response = concat(fromHex(v.eIcc), fromHex(v.mIcc), Uint8Array.of(0x90, 0x00));
    expect(handshake.complete(response)).toBeInstanceOf(TerminalChannel);
  });

  test('session key, without parity adjustment', () => {
    const secrets = deriveSession(
      parameters,
      { nonce: fromHex(v.rndIfd), keyMaterial: fromHex(v.kIfd) },
      { nonce: fromHex(v.rndIcc), keyMaterial: fromHex(v.kIcc) },
    );
    expect(toHex(secrets.encryption)).toBe(v.ksEnc);
    const cryptogram = new AesCbc(secrets.encryption).encrypt(new Uint8Array(16), padIso9797(number, 16));
    expect(toHex(cryptogram)).toBe(v.verifyCryptogram);
  });
});
