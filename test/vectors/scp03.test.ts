import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type Command, parseCommand } from '#core/apdu/command.ts';
import { joinResponse } from '#core/apdu/response.ts';
import { concat, fromHex, toHex } from '#core/bytes/bytes.ts';
import { Scp03CardHandshake } from '#core/card/channel/scp03/card-side.ts';
import {
  deriveScp03,
  type Scp03Level,
  scp03KeyLengths,
  scp03Protection,
} from '#core/card/channel/scp03/messages.ts';
import { Scp03TerminalHandshake } from '#core/card/channel/scp03/terminal-side.ts';
import { AesCmac } from '#core/crypto/cmac.ts';
import { counterKdf } from '#core/crypto/counter-kdf.ts';

const read = (name: string) => JSON.parse(readFileSync(new URL(name, import.meta.url), 'utf8'));

describe('SP 800-108 in counter mode', () => {
  for (const { ki, fixed, output } of read('key-derivation.json').sp800108.sets) {
    test(`derives ${output}`, () => {
      const derived = counterKdf(new AesCmac(fromHex(ki)), { after: fromHex(fixed) }, output.length / 2);
      expect(toHex(derived)).toBe(output);
    });
  }

  test('a counter of 8 bits ends at 255 blocks', () => {
    const prf = new AesCmac(new Uint8Array(16));
    expect(counterKdf(prf, { after: new Uint8Array(1) }, 255 * 16)).toHaveLength(255 * 16);
    expect(() => counterKdf(prf, { after: new Uint8Array(1) }, 255 * 16 + 1)).toThrow(TypeError);
  });
});

interface VectorSet {
  readonly alg: 'AES128' | 'AES192' | 'AES256';
  readonly level: Scp03Level;
  readonly [field: string]: string;
}

const { keys: staticKeys, sets } = read('scp03.json') as {
  keys: Record<VectorSet['alg'], { ENC: string; MAC: string }>;
  sets: VectorSet[];
};
const ciphers = { AES128: 'aes-128', AES192: 'aes-192', AES256: 'aes-256' } as const;
/** The cards are eUICCs, which spoke as their ISD-R (GSMA SGP.02, 2.2.3): their challenges come out with its AID. */
const aid = fromHex('A0000005591010FFFFFFFF8900000100');

/** The plain commands that the vectors protect, and the field with the protected form, in the order of the session. */
const plainCommands = [
  ['get_eid_cmd', '80E2910006BF3E035C015A00'],
  ['case_1_apdu', '80F22002'],
  ['case_2_apdu', '80CA006600'],
  ['case_3_apdu', '80F220020A4F0212345C054F9F70C5'],
  ['case_4_apdu', '80F28002024F0000'],
] as const;
const eid = fromHex('BF3E125A1089882119900000000000000000000005');

function parsed(hex: string): Command {
  const command = parseCommand(fromHex(hex));
  if (!command) throw new Error(`${hex} is no command`);
  return command;
}

/** Both ends with the values of one set. */
function joined(set: VectorSet) {
  const field = (name: string): string => set[name] ?? '';
  const { ENC, MAC } = staticKeys[set.alg];
  const keys = { encryption: fromHex(ENC), mac: fromHex(MAC) };
  const cipher = ciphers[set.alg];
  const initialize = fromHex(field('init_upd_cmd'));
  const answer = fromHex(field('init_upd_rsp'));
  const terminal = new Scp03TerminalHandshake({
    parameters: { cipher, level: set.level, mode: 's8' },
    askedKeyVersion: initialize[2] ?? 0,
    random: () => initialize.slice(5, 13),
  });
  const card = new Scp03CardHandshake(
    {
      cipher,
      mode: 's8',
      keys,
      keyVersion: answer[10] ?? 0,
      diversifier: answer.slice(0, 10),
      challenge: { sequence: Number.parseInt(toHex(answer.slice(-3)), 16), aid },
    },
    initialize.slice(5, 13),
  );
  return { field, keys, terminal, card };
}

/** Both ends with the session open. */
function opened(set: VectorSet) {
  const { field, keys, terminal, card } = joined(set);
  terminal.takeCardData(fromHex(`${field('init_upd_rsp')}9000`));
  const cardChannel = card.accept(terminal.externalAuthenticate(keys));
  if (!cardChannel) throw new Error('the card refused');
  terminal.prepare();
  return { field, channel: terminal.complete(fromHex('9000')), cardChannel };
}

describe.each(sets)('SCP03 of real cards, $alg, level $level', (set) => {
  test('session keys', () => {
    const { field, keys } = joined(set);
    const context = concat(
      fromHex(field('init_upd_cmd')).slice(5, 13),
      fromHex(field('init_upd_rsp')).slice(13, 21),
    );
    const length = scp03KeyLengths[ciphers[set.alg]];
    const key = (from: Uint8Array, constant: 'sEnc' | 'sMac' | 'sRmac') =>
      toHex(deriveScp03(new AesCmac(from), constant, context, length));
    expect(key(keys.encryption, 'sEnc')).toBe(field('S_ENC'));
    expect(key(keys.mac, 'sMac')).toBe(field('S_MAC'));
    expect(key(keys.mac, 'sRmac')).toBe(field('S_RMAC'));
  });

  test('INITIALIZE UPDATE and EXTERNAL AUTHENTICATE, byte for byte', () => {
    const { field, keys, terminal } = joined(set);
    expect(toHex(terminal.initializeUpdate())).toBe(field('init_upd_cmd'));
    expect(terminal.takeCardData(fromHex(`${field('init_upd_rsp')}9000`))).toEqual({
      keyVersion: Number.parseInt(field('init_upd_cmd').slice(4, 6), 16),
      diversifier: new Uint8Array(10),
    });
    expect(toHex(terminal.externalAuthenticate(keys))).toBe(field('ext_auth_cmd'));
  });

  test('the card answers INITIALIZE UPDATE byte for byte, its pseudo-random challenge included', () => {
    const { field, card } = joined(set);
    expect(toHex(card.answer())).toBe(field('init_upd_rsp'));
  });

  test('every command, byte for byte, and the card opens it', () => {
    const { field, channel, cardChannel } = opened(set);
    for (const [name, plain] of plainCommands) {
      const wrapped = channel.wrap(parsed(plain));
      expect(toHex(wrapped), name).toBe(field(name));
      expect(cardChannel.unwrap(wrapped)).toEqual({ kind: 'command', command: parsed(plain) });
      if (name !== 'get_eid_cmd') continue;
      const answer = cardChannel.wrap(eid, 0x9000);
      expect(toHex(answer)).toBe(`${field('get_eid_rsp')}9000`);
      const { authenticatesResponses: authentic, encryptsResponses: encrypted } = scp03Protection(set.level);
      expect(channel.unwrap(answer)).toEqual({ data: eid, status: 0x9000, authentic, encrypted });
    }
  });

  test('EXTERNAL AUTHENTICATE as it was recorded is taken by the card', () => {
    const { field, card } = joined(set);
    expect(card.accept(fromHex(field('ext_auth_cmd')))).toBeDefined();
    expect(card.accept(fromHex(`${field('ext_auth_cmd').slice(0, -2)}00`))).toBeUndefined();
  });
});

test('a response without data has a MAC alone, which the terminal checks', () => {
  const [set] = sets.filter(({ level }) => level === '33');
  if (!set) throw new Error('no set of level 33');
  const { channel, cardChannel } = opened(set);
  cardChannel.unwrap(channel.wrap(parsed('80F22002')));
  const answer = cardChannel.wrap(new Uint8Array(), 0x6310);
  expect(answer).toHaveLength(10);
  expect(channel.unwrap(answer)).toEqual({
    data: new Uint8Array(),
    status: 0x6310,
    authentic: true,
    encrypted: false,
  });
  expect(() => channel.unwrap(joinResponse(new Uint8Array(), 0x9000))).toThrow('no MAC');
});
