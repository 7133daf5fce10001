import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeCommand, parseCommand } from '#core/apdu/command.ts';
import { withCommandChaining } from '#core/apdu/command-chaining.ts';
import { joinResponse, splitResponse } from '#core/apdu/response.ts';
import { withResponseHandling } from '#core/apdu/response-handling.ts';
import { concat, fromHex, toHex } from '#core/bytes/bytes.ts';
import { buildTlv, findTlv, parseTagPath, parseTlv, tlvEnd } from '#core/bytes/tlv.ts';
import { isFault } from '#core/fault.ts';
import { scripted } from './rig.ts';

const anyBytes = fc.uint8Array({ maxLength: 300 });

/** What `run` returns, or undefined when it throws the Fault a malformed answer deserves; anything else is thrown on. */
function unlessMalformed<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch (error) {
    if (isFault(error, 'card-answer-malformed')) return undefined;
    throw error;
  }
}

describe('data objects', () => {
  const tags = fc.constantFrom(0x81, 0x84, 0x6f, 0x5f24, 0x7f49, 0xa5);

  test('what is built is parsed again, in order', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(tags, fc.uint8Array({ maxLength: 400 })), { maxLength: 5 }),
        (objects) => {
          const built = objects.map(([tag, value]) => buildTlv(tag, value));
          const parsed = parseTlv(concat(...built));
          expect(parsed.map(({ tag, value }) => [tag, value])).toEqual(objects);
          expect(parsed.map(({ raw }) => raw)).toEqual(built);
        },
      ),
    );
  });

  test('any bytes parse or are malformed, and the objects fill them exactly', () => {
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        const parsed = unlessMalformed(() => parseTlv(bytes));
        if (parsed) expect(concat(...parsed.map(({ raw }) => raw))).toEqual(bytes);
        unlessMalformed(() => findTlv(bytes, [0x6f, 0xa5, 0xc0]));
      }),
      { numRuns: 2000 },
    );
  });

  test.each([
    ['a tag alone', '84'],
    ['a length past the end', '840512'],
    ['an indefinite length', '6F8084010000'],
    ['a length of three bytes', '848300000112'],
    ['a cut length', '848201'],
    ['padding between objects', '00840112'],
    ['a tag of three bytes', '5F81010112'],
  ])('%s is malformed', (_name, hex) => {
    expect(unlessMalformed(() => parseTlv(fromHex(hex)))).toBeUndefined();
  });

  test('a path finds the value, misses it, or is refused as ambiguous', () => {
    const bytes = fromHex('6F0984022A01A503C00107');
    expect(findTlv(bytes, [0x6f, 0xa5, 0xc0])).toEqual(Uint8Array.of(7));
    expect(findTlv(bytes, [0x6f, 0xa5, 0xc1])).toBeUndefined();
    expect(unlessMalformed(() => findTlv(fromHex('C00107C00108'), [0xc0]))).toBeUndefined();
  });
});

describe('data objects in a file', () => {
  const inFile = fromHex('0000FF8101AA00006F0984022A01A503C0010700FF');

  test('padding before, between and behind them is passed over, and in answers refused', () => {
    expect(parseTlv(inFile, 'padded').map(({ tag }) => tag)).toEqual([0x81, 0x6f]);
    expect(findTlv(inFile, [0x6f, 0xa5, 0xc0], 'padded')).toEqual(Uint8Array.of(7));
    expect(unlessMalformed(() => parseTlv(inFile))).toBeUndefined();
  });

  test('the end of an object is told from its beginning, and of one not seen yet it is not', () => {
    expect(tlvEnd(inFile, [0x6f, 0x84])).toBe(19);
    expect(tlvEnd(inFile.subarray(0, 10), [0x6f])).toBe(19);
    for (const length of [0, 3, 8, 9]) expect(tlvEnd(inFile.subarray(0, length), [0x6f])).toBeUndefined();
    expect(tlvEnd(inFile, [0x84])).toBeUndefined();
    expect(tlvEnd(fromHex('1F8080'), [0x84])).toBeUndefined();
  });

  test('any bytes have an end of an object or none', () => {
    fc.assert(
      fc.property(anyBytes, fc.constantFrom(0x81, 0x6f, 0x5f24), (bytes, tag) => {
        const end = tlvEnd(bytes, [tag]);
        if (end !== undefined) expect(end).toBeGreaterThanOrEqual(2);
        unlessMalformed(() => findTlv(bytes, [tag], 'padded'));
      }),
      { numRuns: 1000 },
    );
  });

  test('a path of tags is read outermost first', () => {
    expect(parseTagPath('6F/A5/5F24')).toEqual([0x6f, 0xa5, 0x5f24]);
  });
});

describe('command chaining', () => {
  const data = Uint8Array.from({ length: 600 }, (_, i) => i & 0xff);
  const long = encodeCommand({ cla: 0x0c, ins: 0xd6, p1: 1, p2: 2, data, expected: 65_536 });

  test('a long command goes out as a chain of short ones, and asks for all there is', async () => {
    const card = scripted('9000', '9000', '01029000');
    expect(toHex(await withCommandChaining(card.transmit)(long))).toBe('01029000');
    const parts = card.commands.map((command) => parseCommand(command));
    expect(parts.map((part) => part?.cla)).toEqual([0x1c, 0x1c, 0x0c]);
    expect(parts.map((part) => part?.expected)).toEqual([undefined, undefined, 256]);
    expect(concat(...parts.map((part) => part?.data ?? new Uint8Array()))).toEqual(data);
    expect(card.commands.every(({ length }) => length <= 261)).toBe(true);
  });

  test.each(['6884', '6982', '63C0', '01029000', '', '90'])('%j to a part ends the chain', async (answer) => {
    const card = scripted('9000', answer);
    expect(toHex(await withCommandChaining(card.transmit)(long))).toBe(answer);
    expect(card.commands).toHaveLength(2);
  });

  test('a command that asks for much becomes one that asks for 256 bytes', async () => {
    const card = scripted('9000', '9000', '9000');
    const chained = withCommandChaining(card.transmit);
    await chained(encodeCommand({ cla: 0, ins: 0xb0, p1: 0, p2: 0, expected: 3000 }));
    await chained(encodeCommand({ cla: 0, ins: 0xd6, p1: 0, p2: 0, data: data.subarray(0, 256) }));
    expect(card.commands.map((command) => toHex(command).slice(0, 10))).toEqual([
      '00B0000000',
      '10D60000FF',
      '00D6000001',
    ]);
  });

  test.each(['00B0000000', '00A4040C02A000', '00B00000', '', '00B00000000000000000'])(
    '%j goes out as it is',
    async (command) => {
      const card = scripted('9000');
      await withCommandChaining(card.transmit)(fromHex(command));
      expect(card.commands.map(toHex)).toEqual([command]);
    },
  );
});

describe('command APDUs', () => {
  const commands = fc
    .record({
      cla: fc.nat(255),
      ins: fc.nat(255),
      p1: fc.nat(255),
      p2: fc.nat(255),
      data: fc.option(
        fc.oneof(
          fc.uint8Array({ minLength: 1, maxLength: 255 }),
          fc.uint8Array({ minLength: 256, maxLength: 600 }),
        ),
        { nil: undefined },
      ),
      expected: fc.option(fc.oneof(fc.integer({ min: 1, max: 256 }), fc.integer({ min: 257, max: 65_536 })), {
        nil: undefined,
      }),
    })
    .map(({ data, expected, ...header }) => ({
      ...header,
      ...(data && { data }),
      ...(expected && { expected }),
    }));

  test('what is encoded is parsed again, short and extended', () => {
    fc.assert(
      fc.property(commands, (command) => {
        expect(parseCommand(encodeCommand(command))).toEqual(command);
      }),
    );
  });

  test.each([
    ['00A4040C02A000', { cla: 0, ins: 0xa4, p1: 4, p2: 0x0c, data: fromHex('A000') }],
    ['00B0000000', { cla: 0, ins: 0xb0, p1: 0, p2: 0, expected: 256 }],
    ['00B00000000000', { cla: 0, ins: 0xb0, p1: 0, p2: 0, expected: 65_536 }],
    ['00B00000000101', { cla: 0, ins: 0xb0, p1: 0, p2: 0, expected: 257 }],
    ['00200081', { cla: 0, ins: 0x20, p1: 0, p2: 0x81 }],
  ])('%s is a command', (hex, command) => {
    expect(parseCommand(fromHex(hex))).toEqual(command);
  });

  test.each(['', '00', '00A404', '00A4040C02A0', '00A4040C02A0000000', '00A404000000', '00B0000000000000'])(
    '%j has the length of no command',
    (hex) => {
      expect(parseCommand(fromHex(hex))).toBeUndefined();
    },
  );

  test('what ISO 7816-4 cannot encode is a bug', () => {
    expect(() => encodeCommand({ cla: 0, ins: 0, p1: 0, p2: 0, expected: 65_537 })).toThrow(TypeError);
  });

  test('any bytes parse to something that encodes to a command of the same meaning', () => {
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        const command = parseCommand(bytes);
        if (command) expect(parseCommand(encodeCommand(command))).toEqual(command);
      }),
    );
  });
});

describe('response APDUs', () => {
  test('any bytes split and join again, or are malformed', () => {
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        const response = unlessMalformed(() => splitResponse(bytes));
        expect(response === undefined).toBe(bytes.length < 2);
        if (response) expect(joinResponse(response.data, response.status)).toEqual(bytes);
      }),
    );
  });

  test('more than an extended response can hold is malformed', () => {
    expect(unlessMalformed(() => splitResponse(new Uint8Array(65_539)))).toBeUndefined();
  });
});

describe('response handling', () => {
  const select = fromHex('00A4040002A00000');

  test('61xx is answered by GET RESPONSE on the same logical channel until it ends', async () => {
    const card = scripted('01026102', '03046101', '059000');
    expect(toHex(await withResponseHandling(card.transmit)(fromHex('01A4040002A00000')))).toBe(
      '01020304059000',
    );
    expect(card.commands.slice(1).map(toHex)).toEqual(['01C0000002', '01C0000001']);
  });

  test('6Cxx is repeated once with the Le it names, for commands that change nothing', async () => {
    const card = scripted('6C05', '01020304059000');
    expect(toHex(await withResponseHandling(card.transmit)(select))).toBe('01020304059000');
    expect(card.commands.map(toHex)).toEqual(['00A4040002A00000', '00A4040002A00005']);
  });

  test.each([
    ['VERIFY', '0020008104313233340A'],
    ['MUTUAL AUTHENTICATE', '00820000020102FF'],
    ['a protected read', '0CB000000D9701048E08ED6705417E96BA5500'],
    ['a read without Le', '00B00000'],
  ])('%s is never repeated', async (_name, command) => {
    const card = scripted('6C05');
    expect(toHex(await withResponseHandling(card.transmit)(fromHex(command)))).toBe('6C05');
    expect(card.commands).toHaveLength(1);
  });

  test('answers too short to be any pass unchanged, for the parser to refuse', async () => {
    for (const answer of ['', '61', '6C']) {
      expect(toHex(await withResponseHandling(scripted(answer).transmit)(select))).toBe(answer);
    }
  });

  test('a chain that grows too large is refused', async () => {
    const large = `${'00'.repeat(3000)}61FF`;
    await expect(withResponseHandling(scripted(large, large).transmit)(select)).rejects.toMatchObject({
      code: 'card-answer-malformed',
    });
  });
});
