import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { withCommandChaining } from '#core/apdu/command-chaining.ts';
import { withResponseHandling } from '#core/apdu/response-handling.ts';
import { fromHex, toHex } from '#core/bytes/bytes.ts';
import { fixedApplications } from '#core/card/applications.ts';
import { getChallenge, parseChallenge, TerminalHandshake } from '#core/card/channel/mutual/terminal-side.ts';
import { type CardFault, cardDescriptionSchema } from '#simulators/card/card-description.ts';
import type { CardState } from '#simulators/card/card-state.ts';
import { linkMs, loadVirtualCard, type VirtualCard } from '#simulators/card/virtual-card.ts';
import {
  deckCard,
  instantly,
  ManualTimers,
  mutualChannelOf,
  pin,
  powered,
  session,
  testKeys,
  typeA,
  typeC,
  typeD,
} from './rig.ts';

const ask = async (card: VirtualCard, command: string): Promise<string> =>
  toHex(await card.transmit(fromHex(command)));
const selectA = `00A404000A${typeA.application.aid}00`;
const selectC = `00A4040C0A${typeC.application.aid}`;

describe('as ISO 7816-4 says', () => {
  test.each([
    [
      'SELECT with file control information',
      [selectA],
      '6F1D840AF04B415A415355010A01A50FC00101C10A4B415A415355000000019000',
    ],
    ['SELECT without', [selectC], '9000'],
    ['SELECT of an application it does not have', ['00A4040C05A000000001'], '6A82'],
    ['SELECT 00 A4 00 00, which selects nothing', ['00A40000', '00B0810001'], '6986'],
    ['SELECT with a Le too small', [`00A404000A${typeA.application.aid}05`], '6C1F'],
    ['SELECT of the next occurrence', [`00A404020A${typeA.application.aid}00`], '6A86'],
    ['SELECT of an empty AID', ['00A4040C'], '6700'],
    ['READ BINARY by short identifier', [selectC, '00B081000C'], '4C30303031323334352020209000'],
    ['READ BINARY of the current file', [selectC, '00A4020C020001', '00B0000106'], '3030303132339000'],
    ['READ BINARY after reading by short identifier', [selectC, '00B0810001', '00B0000002'], '4C309000'],
    ['READ BINARY with Le 00', [selectC, '00B0810800'], '352020209000'],
    ['READ BINARY over the end', [selectC, '00B0810808'], '352020206282'],
    ['READ BINARY past the end', [selectC, '00B0810C01'], '6B00'],
    ['READ BINARY of no file', [selectC, '00B0000001'], '6986'],
    ['READ BINARY of a file it does not have', [selectC, '00B0820001'], '6A82'],
    ['READ BINARY with bits that mean nothing', [selectC, '00B0C10001'], '6A86'],
    ['READ BINARY without Le', [selectC, '00B08100'], '6700'],
    ['READ RECORD of a transparent file', [selectC, '00B2010C00'], '6981'],
    ['SELECT of a file it does not have', [selectC, '00A4020C020002'], '6A82'],
    ['SELECT of a file where no application is selected', ['00A4020C020001'], '6A82'],
    ['SELECT of any file by identifier', [selectC, '00A4000C020001', '00B0000001'], '4C9000'],
    [
      'SELECT of a file with file control information',
      [selectC, '00A4020002000100'],
      '6F118002000C820101830200018801088A01059000',
    ],
    [
      'SELECT of a file with file control parameters',
      [selectC, '00A4020402000100'],
      '62118002000C820101830200018801088A01059000',
    ],
    ['SELECT of a file with file control information and no Le', [selectC, '00A40200020001'], '9000'],
    ['SELECT of a file with a Le too small', [selectC, '00A4020002000105'], '6C13'],
    ['SELECT of a file by its path', [selectC, '00A4080C020001'], '6A86'],
    [
      'SELECT of a file with a Le too small, which selects nothing',
      [selectC, '00A4020002000105', '00B0000001'],
      '6986',
    ],
    ['READ BINARY of a protected file in the clear', [selectA, '00B081000C'], '6982'],
    ['VERIFY without data', [selectA, '00200081'], '63C3'],
    ['VERIFY of an unknown PIN', [selectA, '00200082'], '6A88'],
    ['VERIFY with the PIN in the clear', [selectA, '002000810431323334', '00200081'], '63C3'],
    ['VERIFY with another P1', [selectA, '00200181'], '6A86'],
    ['MUTUAL AUTHENTICATE without a challenge', [selectA, `0082000028${'00'.repeat(40)}28`], '6985'],
    [
      'MUTUAL AUTHENTICATE of another length',
      [selectA, '0084000008', `0082000020${'00'.repeat(32)}28`],
      '6700',
    ],
    [
      'MUTUAL AUTHENTICATE with wrong keys',
      [selectA, '0084000008', `0082000028${'00'.repeat(40)}28`],
      '6300',
    ],
    [
      'MUTUAL AUTHENTICATE twice on one challenge',
      [selectA, '0084000008', `0082000028${'00'.repeat(40)}28`, `0082000028${'00'.repeat(40)}28`],
      '6985',
    ],
    [
      'MUTUAL AUTHENTICATE where there are no keys',
      [selectC, '0084000008', `0082000028${'00'.repeat(40)}28`],
      '6D00',
    ],
    ['a protected command without a channel', [selectA, '0CB000000D9701048E08ED6705417E96BA5500'], '6985'],
    ['GET CHALLENGE without Le', ['00840000'], '6700'],
    ['GET CHALLENGE with parameters', ['0084000108'], '6A86'],
    ['an unknown instruction', [selectA, '00F20000'], '6D00'],
    ['an unknown class', ['80CA9F7F00'], '6E00'],
    ['a logical channel', ['01A4040C05A000000001'], '6881'],
    ['the first part of a chained command', ['10A4040C05A000000001'], '9000'],
    ['another command within a chain', ['10A4040C05A000000001', '00A4020C020001'], '6883'],
    ['other secure messaging', ['04A4040C05A000000001'], '6882'],
    ['no command at all', ['00A4'], '6700'],
  ])('%s', async (_name, commands, answer) => {
    const card = powered(deckCard('employee'));
    let last = '';
    for (const command of commands) last = await ask(card, command);
    expect(last).toBe(answer);
  });

  test('GET CHALLENGE gives 1 to 256 fresh bytes', async () => {
    const card = powered(deckCard('employee'));
    const first = await ask(card, '0084000008');
    expect(first).toMatch(/^[0-9A-F]{16}9000$/);
    expect(await ask(card, '0084000008')).not.toBe(first);
    expect(await ask(card, '0084000000')).toHaveLength(2 * 258);
  });

  test('records are read by number, with 6Cxx for a Le too small', async () => {
    const card = powered(
      cardDescriptionSchema.parse({
        formatVersion: 1,
        cardApplications: [
          {
            aid: typeC.application.aid,
            files: [
              { shortFileId: 3, fileId: '0003', read: 'always', records: [{ hex: '0102' }, { hex: '03' }] },
            ],
          },
        ],
      }),
    );
    await ask(card, selectC);
    expect(await ask(card, '00A4020002000300')).toBe(
      '6F158002000382050401000202830200038801188A0105' + '9000',
    );
    expect(await ask(card, '00B2011C00')).toBe('01029000');
    expect(await ask(card, '00B2020401')).toBe('039000');
    expect(await ask(card, '00B2011C01')).toBe('6C02');
    expect(await ask(card, '00B2031C00')).toBe('6A83');
    expect(await ask(card, '00B2011D00')).toBe('6A86');
    expect(await ask(card, '00B0830001')).toBe('6981');
  });

  test('a chain of commands stands for the one they make up, protected or not', async () => {
    const card = powered(deckCard('employee'));
    const aid = typeA.application.aid;
    expect(await ask(card, `10A4040005${aid.slice(0, 10)}`)).toBe('9000');
    expect(await ask(card, `00A4040005${aid.slice(10)}00`)).toContain(aid);
    expect(await ask(card, `10A4040005${aid.slice(0, 10)}`)).toBe('9000');
    card.reset();
    expect(await ask(card, `00A4040005${aid.slice(10)}00`)).toBe('6A82');
    const part = `10D60000FF${'00'.repeat(255)}`;
    for (let sent = 255; sent <= 0xffff; sent += 255) await ask(card, part);
    expect(await ask(card, part)).toBe('6700');
  });

  test('a long answer in short form is fetched by GET RESPONSE, in extended form it comes whole', async () => {
    const [application] = deckCard('library').cardApplications;
    const content = {
      hex: Array.from({ length: 600 }, (_, i) => (i & 0xff).toString(16).padStart(2, '0')).join(''),
    };
    const file = { shortFileId: 1, read: 'always' as const, content };
    const long = cardDescriptionSchema.parse({
      formatVersion: 1,
      cardApplications: [{ ...application, files: [file] }],
    });
    const card = powered(long);
    await ask(card, selectC);
    expect(await ask(card, '00B08100000258')).toBe(`${content.hex.toUpperCase()}9000`);
    expect(await ask(card, '00B08100000000')).toBe(`${content.hex.toUpperCase()}9000`);
    const short = powered({ ...long, extendedLength: false });
    await ask(short, selectC);
    expect(await ask(short, '00B08100000258')).toBe('6700');
    expect(await ask(short, '00C0000000')).toBe('6D00');
    const whole = withResponseHandling(withCommandChaining(short.transmit));
    expect(toHex(await whole(fromHex('00B0810000')))).toHaveLength(2 * 256 + 4);
  });

  test('any bytes are answered, and by a status word at least', async () => {
    const card = powered(deckCard('employee'));
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 60 }), async (command) => {
        const answer = await card.transmit(command);
        expect(answer.length).toBeGreaterThanOrEqual(2);
        expect([0x90, 0x62, 0x63, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e]).toContain(answer.at(-2));
      }),
    );
  });
});

describe('as a My Number Card', () => {
  test('it has the answer to reset of a Type B card, the same for every card', () => {
    const atr = powered(deckCard('employee')).atr;
    expect(toHex(atr)).toMatch(/^3B888001.{14}00..$/);
    expect(atr.slice(1).reduce((sum, byte) => sum ^ byte, 0)).toBe(0);
    expect(atr).toEqual(powered(deckCard('library')).atr);
  });

  test.each(fixedApplications)('its $name application can be selected and is closed', async ({ aid }) => {
    const card = powered(deckCard('employee'));
    const length = (aid.length / 2).toString(16).padStart(2, '0');
    expect(await ask(card, `00A4040C${length}${aid}`)).toBe('9000');
    expect(await ask(card, '00A4020C020011')).toBe('9000');
    expect(await ask(card, '00B0000001')).toBe('6982');
    expect(await ask(card, '00B2010401')).toBe('6982');
    for (let i = 0; i < 5; i += 1) expect(await ask(card, '002000800431323334')).toBe('6982');
    expect(await ask(card, '00200080')).toBe('63C3');
    expect(await ask(card, '00CA006600')).toBe('6D00');
  });

  test('its signature PIN has five tries and its user authentication PIN three', async () => {
    const card = powered(deckCard('employee'));
    expect(await ask(card, '00A4040C0AD392F000260100000001')).toBe('9000');
    expect([await ask(card, '00A4020C02001B'), await ask(card, '00200080')]).toEqual(['9000', '63C5']);
    expect([await ask(card, '00A4020C020018'), await ask(card, '00200080')]).toEqual(['9000', '63C3']);
    await ask(card, '00A4020C02001B');
    await ask(card, '00A4040C0AD3921000310001010408');
    await ask(card, '00A4020C02001B');
    expect(await ask(card, '00200080')).toBe('63C3');
  });

  test('a partial AID selects the first application it fits', async () => {
    const card = powered(deckCard('employee'));
    expect(await ask(card, '00A4040007F04B415A41535500')).toContain(typeA.application.aid);
    expect(await ask(card, '00A4040002D39200')).toContain('D3921000310001010100');
    expect(await ask(card, `00A404000B${typeA.application.aid}0000`)).toBe('6A82');
  });
});

describe('sessions', () => {
  test('end with the power, with a reset, with another selection and with a command in the clear', async () => {
    const endings: ((card: VirtualCard) => unknown)[] = [
      (card) => card.reset(),
      (card) => {
        card.powerOff();
        card.powerOn();
      },
      (card) => ask(card, selectC),
      (card) => ask(card, '00200081'),
      (card) => ask(card, '0084000008'),
    ];
    for (const end of endings) {
      const card = powered(deckCard('employee'));
      const open = session(card.transmit);
      await open.read();
      await end(card);
      expect(await open.verifyPin(pin('1234'))).toMatchObject({
        kind: 'refused',
        fault: { code: 'card-answer-status' },
      });
    }
  });
});

describe('PIN counters', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'kazasu-card-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const file = fileURLToPath(new URL('../../../src/simulators/card/decks/employee.yaml', import.meta.url));

  async function tryPin(card: VirtualCard, digits: string) {
    card.powerOn();
    const open = session(card.transmit);
    await open.read();
    const outcome = await open.verifyPin(pin(digits));
    card.powerOff();
    return outcome;
  }

  test('persist across taps, and a right PIN restores them', async () => {
    const card = powered(deckCard('employee'));
    expect(await tryPin(card, '0000')).toEqual({ kind: 'wrong', triesLeft: 2 });
    expect(await tryPin(card, '1234')).toMatchObject({ kind: 'verified' });
    expect(await tryPin(card, '0000')).toEqual({ kind: 'wrong', triesLeft: 2 });
    expect(await tryPin(card, '0000')).toEqual({ kind: 'wrong', triesLeft: 1 });
    expect(await tryPin(card, '1234')).toEqual({ kind: 'withheld', triesLeft: 1 });
  });

  test('outlive the process in a state file', async () => {
    const stateFile = join(folder, 'state.json');
    const load = () => loadVirtualCard(file, { stateFile });
    expect(await tryPin(await load(), '0000')).toEqual({ kind: 'wrong', triesLeft: 2 });
    expect(await tryPin(await load(), '0000')).toEqual({ kind: 'wrong', triesLeft: 1 });
    expect(await tryPin(await load(), '1234')).toEqual({ kind: 'withheld', triesLeft: 1 });
    expect(JSON.parse(readFileSync(stateFile, 'utf8'))).toMatchObject({
      pins: [{ reference: 129, triesLeft: 1 }],
    });
  });

  test('a try torn away is spent', async () => {
    const states: CardState[] = [];
    const card = powered(deckCard('employee'), { stateChanged: (state) => states.push(state) });
    card.misbehave({ kind: 'removed', exchange: 6 });
    expect(await tryPin(card, '0000')).toEqual({ kind: 'removed' });
    expect(states.at(-1)?.pins[0]?.triesLeft).toBe(2);
  });

  test('a card, a state file or YAML that is wrong is refused with its place', async () => {
    const bad = join(folder, 'bad.yaml');
    writeFileSync(bad, 'formatVersion: 1\ncardApplications:\n  - { aid: F0, files: [] }\ncolour: red\n');
    await expect(loadVirtualCard(bad)).rejects.toMatchObject({
      code: 'config-invalid',
      message: expect.stringMatching(/bad\.yaml:3:.*aid[\s\S]*colour/),
    });
    await expect(loadVirtualCard(join(folder, 'none.yaml'))).rejects.toMatchObject({
      code: 'file-unreadable',
    });
    const stateFile = join(folder, 'state.json');
    writeFileSync(stateFile, '{}');
    await expect(loadVirtualCard(file, { stateFile })).rejects.toMatchObject({ code: 'config-invalid' });
  });

  test('keys must be called test keys', () => {
    const description = structuredClone(deckCard('employee'));
    const [application] = description.cardApplications;
    const { testKeysOnly: _testKeysOnly, ...keys } = application?.keys ?? {};
    const changed = { ...description, cardApplications: [{ ...application, keys }] };
    expect(cardDescriptionSchema.safeParse(changed).success).toBe(false);
    expect(cardDescriptionSchema.safeParse(description).success).toBe(true);
  });
});

describe('SCP03', () => {
  const selectD = `00A404000A${typeD.application.aid}00`;
  const initialize = '80500000080102030405060708' + '00';

  test.each([
    ['INITIALIZE UPDATE of another key version', ['80500200080102030405060708' + '00'], '6A88'],
    ['INITIALIZE UPDATE with another P2', ['80500001080102030405060708' + '00'], '6A86'],
    ['INITIALIZE UPDATE with a challenge of another length', ['80500000070102030405060700'], '6700'],
    ['INITIALIZE UPDATE without Le', ['80500000080102030405060708'], '6700'],
    ['INITIALIZE UPDATE in another class', ['00500000080102030405060708' + '00'], '6D00'],
    ['EXTERNAL AUTHENTICATE before it', [`8482330010${'00'.repeat(16)}`], '6985'],
    ['EXTERNAL AUTHENTICATE with wrong keys', [initialize, `8482330010${'00'.repeat(16)}`], '6300'],
    [
      'EXTERNAL AUTHENTICATE twice',
      [initialize, `8482330010${'00'.repeat(16)}`, `8482330010${'00'.repeat(16)}`],
      '6985',
    ],
    ['EXTERNAL AUTHENTICATE at a level that is none', [initialize, `8482300010${'00'.repeat(16)}`], '6300'],
    [
      'EXTERNAL AUTHENTICATE after a challenge of ISO 7816-4',
      [initialize, '0084000008', `8482330010${'00'.repeat(16)}`],
      '6985',
    ],
    ['another command of GlobalPlatform', ['80CA006600'], '6E00'],
    ['a protected command without a session', ['84B081000800000000000000000C'], '6985'],
    ['secure messaging of ISO 7816-4', ['0CB081000D9701048E08ED6705417E96BA5500'], '6882'],
    ['a logical channel', ['81CA006600'], '6881'],
    ['a proprietary class', ['A0CA006600'], '6E00'],
    ['reading without a session', ['00B081000C'], '6982'],
  ])('%s', async (_name, commands, answer) => {
    const card = powered(deckCard('employee-type-d'));
    await ask(card, selectD);
    let last = '';
    for (const command of commands) last = await ask(card, command);
    expect(last.replace(/^[0-9A-F]{16}9000$/, '')).toBe(answer);
  });

  test('any bytes are answered, within a session and without', async () => {
    const command = fc
      .record({
        cla: fc.constantFrom(0x00, 0x04, 0x0c, 0x10, 0x14, 0x80, 0x84, 0x90, 0x94),
        ins: fc.constantFrom(0x20, 0x24, 0x50, 0x82, 0x84, 0xa4, 0xb0, 0xb2, 0xc0, 0xca),
        rest: fc.uint8Array({ minLength: 2, maxLength: 60 }),
      })
      .map(({ cla, ins, rest }) => Uint8Array.of(cla, ins, ...rest));
    await fc.assert(
      fc.asyncProperty(fc.array(command, { maxLength: 6 }), fc.boolean(), async (sent, inSession) => {
        const card = powered(deckCard('employee-type-d'));
        if (inSession) {
          expect(await session(card.transmit, { profiles: [typeD] }).read()).toMatchObject({
            kind: 'reading',
          });
        } else await ask(card, selectD);
        for (const one of sent) expect((await card.transmit(one)).length).toBeGreaterThanOrEqual(2);
      }),
      { numRuns: 300 },
    );
  });

  test('its sequence counter counts every challenge, outlives the process, and ends', async () => {
    const states: CardState[] = [];
    const stateChanged = (state: CardState) => states.push(state);
    const card = powered(deckCard('employee-type-d'), { stateChanged });
    await ask(card, selectD);
    const first = await ask(card, initialize);
    const second = await ask(card, initialize);
    expect(first).toMatch(/^4B415A41535500000008010370.{32}0000019000$/);
    expect(second).toMatch(/0000029000$/);
    expect(second.slice(26, 42)).not.toBe(first.slice(26, 42));
    const aid = typeD.application.aid;
    expect(states.at(-1)).toEqual({ formatVersion: 1, pins: [], sequences: [{ aid, sequence: 2 }] });
    const again = powered(deckCard('employee-type-d'), {
      state: states[1] ?? { formatVersion: 1, pins: [], sequences: [] },
    });
    await ask(again, selectD);
    expect(await ask(again, initialize)).toMatch(/0000039000$/);
    const spent = { formatVersion: 1 as const, pins: [], sequences: [{ aid, sequence: 0xffffff }] };
    const last = powered(deckCard('employee-type-d'), { state: spent });
    await ask(last, selectD);
    expect(await ask(last, initialize)).toBe('6985');
  });

  test('a random challenge has no sequence counter, and is another each time', async () => {
    const description = structuredClone(deckCard('employee-type-d'));
    const keys = description.cardApplications[0]?.keys;
    if (keys?.mechanism !== 'scp03') throw new Error('the deck has no SCP03');
    keys.challenge = 'random';
    const card = powered(description);
    await ask(card, selectD);
    const [first, second] = [await ask(card, initialize), await ask(card, initialize)];
    expect(first).toMatch(/^4B415A41535500000008010360.{32}9000$/);
    expect(second.slice(26, 42)).not.toBe(first.slice(26, 42));
  });

  test('keys of another length than the cipher needs are refused', () => {
    const description = deckCard('employee-type-d');
    const [application] = description.cardApplications;
    const keys = { ...application?.keys, cipher: 'aes-256' };
    const changed = { ...description, cardApplications: [{ ...application, keys }] };
    expect(cardDescriptionSchema.safeParse(changed).success).toBe(false);
  });
});

describe('CHANGE REFERENCE DATA', () => {
  test('changes the PIN in secure messaging, with the old one', async () => {
    const { changePin, card } = await withChannel();
    expect(await changePin('12344321')).toBe(0x9000);
    expect(await changePin('12344321')).toBe(0x63c2);
    card.powerOff();
    card.powerOn();
    const open = session(card.transmit);
    await open.read();
    expect(await open.verifyPin(pin('4321'))).toMatchObject({ kind: 'verified' });
  });

  test('refuses a new PIN that is none, and costs no try for it', async () => {
    const { changePin } = await withChannel();
    expect(await changePin('1234')).toBe(0x6700);
    expect(await changePin('12349')).toBe(0x6a80);
    expect(await changePin('1234ABCD')).toBe(0x6a80);
    expect(await changePin('99994321')).toBe(0x63c2);
  });
});

/** A card whose channel is open, and the command that the product itself does not send yet. */
async function withChannel() {
  const card = powered(deckCard('employee'));
  await ask(card, selectA);
  const handshake = new TerminalHandshake({
    parameters: mutualChannelOf(typeA),
    keys: await testKeys({
      profileId: typeA.id,
      keyVersion: 1,
      diversification: 'an10922',
      diversifier: fromHex('4B415A41535500000001'),
    }),
    random: (length) => new Uint8Array(length).fill(3),
  });
  const challenge = parseChallenge(await card.transmit(getChallenge));
  const channel = handshake.complete(await card.transmit(handshake.command(challenge)));
  const changePin = async (data: string) => {
    const command = { cla: 0, ins: 0x24, p1: 0, p2: 0x81, data: pin(data) };
    return channel.unwrap(await card.transmit(channel.wrap(command))).status;
  };
  return { card, changePin };
}

describe('misbehaviour', () => {
  const misbehaving = (fault: CardFault, clock: Parameters<typeof powered>[1] = {}) => {
    const card = powered(deckCard('employee'), clock);
    card.misbehave(fault);
    return card;
  };

  test('a silent card answers when it is taken away, and not before', async () => {
    const timers = new ManualTimers();
    const card = misbehaving({ kind: 'silent', exchange: 1 }, { clock: timers });
    const answer = card.transmit(fromHex(selectA));
    expect(timers.pending).toEqual([]);
    const state = await Promise.race([answer.then(() => 'answered'), Promise.resolve('silent')]);
    expect(state).toBe('silent');
    card.powerOff();
    await expect(answer).rejects.toMatchObject({ code: 'card-removed' });
  });

  test('a torn card leaves the field, tells its link, and is whole again afterwards', async () => {
    const card = misbehaving({ kind: 'removed', exchange: 2 });
    let left = 0;
    card.onRemoved = () => {
      left += 1;
    };
    expect(await ask(card, selectA)).toMatch(/9000$/);
    await expect(card.transmit(fromHex('00200081'))).rejects.toMatchObject({ code: 'card-removed' });
    expect(left).toBe(1);
    await expect(card.transmit(fromHex(selectA))).rejects.toMatchObject({ code: 'card-removed' });
    card.behave();
    card.powerOn();
    expect(await ask(card, selectA)).toMatch(/9000$/);
    expect(await ask(card, '00200081')).toBe('63C3');
  });

  test('a flipped bit is flipped in that response alone', async () => {
    const card = misbehaving({ kind: 'flipped-bit', exchange: 2, bit: 15 });
    expect(await ask(card, '00A40000')).toBe('9000');
    expect(await ask(card, '00A40000')).toBe('9001');
    expect(await ask(card, '00A40000')).toBe('9000');
  });

  test('a status word out of place stands for the work', async () => {
    const card = misbehaving({ kind: 'status', exchange: 1, status: 0x6f00 });
    expect(await ask(card, selectA)).toBe('6F00');
    expect(await ask(card, '00B0810001')).toBe('6986');
  });

  test('a slow card on a slow link takes as long as both', async () => {
    const timers = new ManualTimers();
    const card = powered({ ...deckCard('employee'), link: { kilobitsPerSecond: 106 } }, { clock: timers });
    card.misbehave({ kind: 'slow', delayMs: 20 });
    const answer = card.transmit(fromHex('00A40000'));
    // 4 bytes out, 2 back, 3 around each, 10 bits a byte at 106 kbit/s
    expect(timers.pending).toEqual([20 + 120 / 106]);
    timers.fireNext();
    expect(toHex(await answer)).toBe('9000');
  });

  test('a faster link is faster', () => {
    const times = ([106, 212, 424, 848] as const).map((rate) => linkMs(60, rate));
    expect(times).toEqual([...times].sort((a, b) => b - a));
    expect(times[0]).toBeCloseTo(6.226, 3);
  });

  test('exchanges are counted from power on', async () => {
    const card = misbehaving({ kind: 'status', exchange: 2, status: 0x6f00 });
    await ask(card, '00A40000');
    card.reset();
    expect(await ask(card, '00A40000')).toBe('9000');
    expect(await ask(card, '00A40000')).toBe('6F00');
  });

  test('a card taken away while it works never answers, and its link hears of it once', async () => {
    const timers = new ManualTimers();
    const card = misbehaving({ kind: 'slow', delayMs: 5 }, { clock: timers });
    const answer = card.transmit(fromHex('00A40000'));
    card.powerOff();
    expect(timers.pending).toEqual([]);
    await expect(answer).rejects.toMatchObject({ code: 'card-removed' });
  });

  test('faults may stand in the description', async () => {
    const card = powered(deckCard('torn'), { clock: instantly });
    expect(await session(card.transmit).read()).toEqual({ kind: 'removed' });
  });
});
