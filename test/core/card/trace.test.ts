import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Transmit } from '#core/apdu/transmit.ts';
import { concat, fromHex, toHex } from '#core/bytes/bytes.ts';
import { parseCardProfile } from '#core/card/profile.ts';
import { TraceExplainer } from '#core/card/trace/explain.ts';
import {
  type CardTrace,
  formatTrace,
  parseTrace,
  type TraceExchange,
  traceFormatVersion,
} from '#core/card/trace/trace-format.ts';
import { TraceMask } from '#core/card/trace/trace-mask.ts';
import { TraceRecorder } from '#core/card/trace/trace-recorder.ts';
import { Fault } from '#core/fault.ts';
import { erasedBy } from '../erased.ts';
import { channelVariant, scp03Channels } from './channel-variants.ts';
import { deckCard, pin, powered, session, typeA, typeC, withMutualKeys } from './rig.ts';

const userNumber = toHex(new TextEncoder().encode('E00012345'));
const diversifier = '4B415A41535500000001';

function recorder(transmit: Transmit): TraceRecorder {
  let now = 0;
  const monotonicUs = () => {
    now += 7;
    return now;
  };
  return new TraceRecorder({ transmit, profiles: [typeA, typeC], monotonicUs });
}

async function recordedTap(protection: 'masked' | 'kept', profile = typeA, card = deckCard('employee')) {
  const recording = recorder(powered(card).transmit);
  const open = session(recording.transmit, { profiles: [profile] });
  const outcome = await open.read();
  const verified = await open.verifyPin(pin('1234'));
  return { outcome, verified, exchanges: recording.exchanges(protection), recording };
}

const encryptedProfile = parseCardProfile(
  { ...typeA, channel: { ...typeA.channel, messages: 'encrypted' } },
  'test',
);
const encryptedCard = () => withMutualKeys('employee', { messages: 'encrypted' });

describe('what a trace shows of a Type A tap with PIN', () => {
  test('masked: headers, lengths, tags, status words, AID and key version, and nothing else', async () => {
    const { outcome, verified, exchanges } = await recordedTap('masked');
    expect([outcome.kind, verified.kind]).toEqual(['reading', 'verified']);
    const shown = exchanges.map(({ command, response = '' }) => [command, response]);
    const stars = (bytes: number) => '**'.repeat(bytes);
    expect(shown[0]).toEqual([
      '00A404000AF04B415A415355010A0100',
      `6F1D840AF04B415A415355010A01A50FC00101C10A${stars(10)}9000`,
    ]);
    expect(shown[1]?.[1]).toMatch(/^[0-9A-F]{16}9000$/);
    expect(shown[2]).toEqual([`0082000028${stars(40)}28`, `${stars(40)}9000`]);
    expect(shown[3]).toEqual([
      `0CB081000D97010C8E08${stars(8)}00`,
      `810C${stars(12)}990290008E08${stars(8)}9000`,
    ]);
    expect(shown[4]).toEqual([`0C2000810A8E08${stars(8)}00`, `990263C38E08${stars(8)}63C3`]);
    expect(shown[5]).toEqual([`0C2000811D8711${stars(17)}8E08${stars(8)}00`, `990290008E08${stars(8)}9000`]);
    expect(exchanges.map(({ number, tookUs }) => [number, tookUs])).toEqual(
      [1, 2, 3, 4, 5, 6].map((number) => [number, 7]),
    );
  });

  test('kept: what the keys open, but no PIN, no data in the clear and no MAC over either', async () => {
    const { exchanges } = await recordedTap('kept');
    const [select, , authenticate, read, tries, verify] = exchanges;
    expect(select?.response).toContain(diversifier);
    expect(authenticate?.command).not.toContain('*');
    expect(authenticate?.response).not.toContain('*');
    expect(read?.command).not.toContain('*');
    expect(read?.response).toMatch(/^810C(\*\*){12}990290008E08(\*\*){8}9000$/);
    expect(tries?.command).not.toContain('*');
    expect(verify?.command).toMatch(/^0C2000811D8711(\*\*){17}8E08(\*\*){8}00$/);
    expect(JSON.stringify(exchanges)).not.toContain(userNumber);
  });

  test('kept, of a profile that encrypts: the cryptogram of the user number, not the number', async () => {
    const { outcome, exchanges } = await recordedTap('kept', encryptedProfile, encryptedCard());
    expect(outcome.kind).toBe('reading');
    expect(exchanges[3]?.response).toMatch(/^871101[0-9A-F]{32}990290008E08[0-9A-F]{16}9000$/);
    expect(JSON.stringify(exchanges)).not.toContain(userNumber);
  });
});

test('data in the clear is masked in either mode: of Type C, of other cards, of parts of answers', () => {
  for (const protection of ['masked', 'kept'] as const) {
    const mask = new TraceMask([typeA, typeC], protection);
    const masked = (command: string, response: string) => [
      mask.command(fromHex(command)),
      mask.response(fromHex(command), fromHex(response)),
    ];
    expect(masked('00B081000C', `${userNumber}6282`)).toEqual(['00B081000C', `${'**'.repeat(9)}6282`]);
    expect(masked('00B2010C00', `${userNumber}9000`)[1]).toBe(`${'**'.repeat(9)}9000`);
    expect(masked('00C0000009', `${userNumber}9000`)[1]).toBe(`${'**'.repeat(9)}9000`);
    expect(masked('00CA005F00', `${userNumber}9000`)[1]).toBe(`${'**'.repeat(9)}9000`);
    expect(masked('002000810431323334', '9000')[0]).toBe('0020008104********');
    expect(masked('00A404000AF04B415A415355010A0100', `${userNumber}6110`)[1]).toBe(`${'**'.repeat(9)}6110`);
    // no command at all, and a data field that is no data objects
    expect(masked('0020008108313233', '6700')[0]).toBe('00200081********');
    expect(masked('0C2000810431323334', '9000')[0]).toBe('0C20008104********');
  }
});

test('of the answer to SELECT, proprietary information is masked, whatever its tags are', () => {
  const mask = new TraceMask([typeA], 'masked');
  const select = fromHex('00A404000AF04B415A415355010A0100');
  mask.command(select);
  const answer = '6F17840401020304A50BC0010184030A0B0C81010D800201009000';
  expect(mask.response(select, fromHex(answer))).toBe(
    '6F17840401020304A50BC001018403******8101**800201009000',
  );
});

describe('SCP03', () => {
  const opened = (level: string) => {
    const mask = new TraceMask([typeA], 'kept');
    mask.command(fromHex(`8050000008${'01'.repeat(8)}00`));
    mask.command(fromHex(`8482${level}0010${'AB'.repeat(16)}`));
    return mask;
  };
  const read = fromHex(`04B0810008${'CD'.repeat(8)}00`);

  test.each([
    ['33', false],
    ['13', true],
    ['11', true],
  ])('at level %s the answer to a read is masked: %s', (level, masked) => {
    const answer = concat(fromHex('11'.repeat(24)), fromHex('9000'));
    expect(opened(level).response(read, answer).includes('*')).toBe(masked);
  });

  test.each(scp03Channels.map((channel) => [channelVariant(channel).name, channel] as const))(
    '%s: of a user number as long as a MAC nothing is shown, kept or not, but a MAC alone is kept',
    async (_name, channel) => {
      for (const text of ['CANARY73', 'CANARY7391024680']) {
        const [minimumLength, maximumLength] = [text.length, text.length];
        const format = { alphabet: 'uppercase-alphanumeric', minimumLength, maximumLength };
        const { profile, card, cardKeys } = channelVariant(channel, {
          userNumber: { length: text.length, padding: 'none', format },
          file: { content: { text } },
        });
        const { transmit } = powered(card);
        const recording = new TraceRecorder({ transmit, profiles: [profile], monotonicUs: () => 0 });
        const outcome = await session(recording.transmit, { profiles: [profile], cardKeys }).read();
        expect(outcome).toMatchObject({ reading: { userNumber: text } });
        for (const protection of ['masked', 'kept'] as const) {
          const exchanges = recording.exchanges(protection);
          expect(JSON.stringify(exchanges)).not.toContain(toHex(new TextEncoder().encode(text)));
          if (protection === 'kept') expect(exchanges.at(-1)?.command).not.toContain('*');
        }
      }
    },
  );

  test.each(['00A404000AF04B415A415355010A0100', `8050000008${'01'.repeat(8)}00`])(
    'with %s the session is over, and nothing of another is taken for its cryptograms',
    (command) => {
      const mask = opened('33');
      mask.command(fromHex(command));
      expect(mask.response(read, fromHex(`${'11'.repeat(8)}9000`))).toBe(`${'**'.repeat(8)}9000`);
    },
  );

  test('a PIN is masked at every level, with its MAC', () => {
    const verify = `0420008118${'22'.repeat(24)}`;
    expect(opened('33').command(fromHex(verify))).toBe(`0420008118${'**'.repeat(24)}`);
  });

  test('masked, the answer to INITIALIZE UPDATE tells key version and challenge, not the card', () => {
    const mask = new TraceMask([typeA], 'masked');
    const command = fromHex(`8050000008${'01'.repeat(8)}00`);
    const answer = fromHex(`${'44'.repeat(10)}010370${'55'.repeat(8)}${'66'.repeat(8)}9000`);
    expect(mask.response(command, answer)).toBe(
      `${'**'.repeat(10)}010370${'55'.repeat(8)}${'**'.repeat(8)}9000`,
    );
  });
});

test('whatever a card answers, masks keep the length, the header and the status word', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 40 }),
      fc.uint8Array({ minLength: 2, maxLength: 60 }),
      (command, response) => {
        const mask = new TraceMask([typeA], 'masked');
        const [shownCommand, shownResponse] = [mask.command(command), mask.response(command, response)];
        expect([shownCommand.length, shownResponse.length]).toEqual([
          2 * command.length,
          2 * response.length,
        ]);
        expect(shownCommand.slice(0, 8)).toBe(toHex(command.subarray(0, 4)));
        expect(shownResponse.slice(-4)).toBe(toHex(response.subarray(-2)));
        new TraceExplainer().explain({
          kind: 'exchange',
          number: 1,
          atUs: 0,
          tookUs: 0,
          command: shownCommand,
          response: shownResponse,
        });
      },
    ),
  );
});

test('an exchange that broke off is recorded with its fault, and closing zeroes what was recorded', async () => {
  const command = fromHex('00A4040000');
  const recording = recorder(async () => {
    throw new Fault('card-removed', 'gone');
  });
  await expect(recording.transmit(command)).rejects.toThrow('gone');
  expect(recording.exchanges('masked')).toMatchObject([{ command: '00A4040000', fault: 'card-removed' }]);
  recording.close();
  expect(recording.exchanges('masked')).toEqual([]);
});

test('times count from the first command; a bug is told as one, and what was recorded is zeroed in the end', async () => {
  let answer: () => Promise<Uint8Array> = async () => fromHex('11229000');
  const recording = recorder(() => answer());
  const command = fromHex('0084000002');
  await recording.transmit(command);
  answer = () => Promise.reject(new TypeError('a bug'));
  await expect(recording.transmit(command)).rejects.toThrow('a bug');
  expect(recording.exchanges('masked')).toMatchObject([
    { number: 1, atUs: 0, tookUs: 7, response: '11229000' },
    { number: 2, atUs: 14, tookUs: 7, fault: 'bug' },
  ]);
  expect(erasedBy(() => recording.close())).toEqual(['0084000002', '11229000', '0084000002']);
  expect(toHex(command)).toBe('0084000002');
});

const exchange = (command: string, response: string): TraceExchange => ({
  kind: 'exchange',
  number: 1,
  atUs: 0,
  tookUs: 0,
  command,
  response,
});

describe('the format', () => {
  const trace: CardTrace = {
    header: {
      kind: 'card-trace',
      formatVersion: traceFormatVersion,
      program: '0.1.0',
      recordedAt: '2026-04-01T00:00:00.000Z',
      readerName: 'Reader',
      profiles: ['synthetic-type-a'],
      protection: 'masked',
    },
    exchanges: [exchange('0084000008', '**9000')],
    outcome: { kind: 'outcome', outcome: 'timeout' },
  };

  test('is read as it was written, and where it was cut off behind a line', () => {
    const text = formatTrace(trace);
    expect(parseTrace(text, 'file')).toEqual(trace);
    const { outcome: _, ...cutOff } = trace;
    expect(parseTrace(text.split('\n').slice(0, 2).join('\n'), 'file')).toEqual(cutOff);
  });

  test.each([
    ['', 'file:1'],
    ['{"kind":"exchange"}', 'file:1'],
    [formatTrace(trace).replace('"formatVersion":1', '"formatVersion":2'), 'formatVersion'],
    [formatTrace(trace).replace('**9000', 'zz'), 'file:2'],
    [`${formatTrace(trace)}${JSON.stringify(trace.exchanges[0])}`, 'outcome stands before'],
  ])('refuses %j', (text, said) => {
    expect(() => parseTrace(text, 'file')).toThrow(said);
    expect(() => parseTrace(text, 'file')).toThrow(Fault);
  });
});

describe('words', () => {
  const words = (command: string, response = '9000') => {
    const explained = new TraceExplainer().explain(exchange(command, response));
    return `${explained.command.words.en} | ${explained.command.words.ja} | ${explained.response?.words?.en}`;
  };

  test.each([
    [
      '00A4040C0AD3921000310001010408',
      '9000',
      /SELECT application.*D3921000310001010408 \(face entry support AP\), asks for nothing.*券面入力補助AP.*success/,
    ],
    ['00A4020C020011', '6A82', /EF under the current DF 0011.*file or application not found/],
    ['00A40000', '9000', /SELECT nothing named/],
    ['00B0000A08', '6B00', /the current file, from offset 10, up to 8 bytes.*beyond the end/],
    ['00B2010C00', '6A83', /READ RECORD 1 of short file id 1/],
    ['00200081', '63C2', /asks for the tries left and spends none.*残り回数の問合せ.*2 tries left/],
    ['0C2000810A8E08****************00', '6983', /asks for the tries left.*PIN blocked/],
    [
      '0C2000811D8711**********************************8E08****************00',
      '63C1',
      /VERIFY the PIN.*1 try left/,
    ],
    ['0024008108****************', '9000', /CHANGE REFERENCE DATA.*暗証番号の変更/],
    ['8050000008****************00', '6A88', /INITIALIZE UPDATE of SCP03: key version 00 \(any\)/],
    [
      '8482330010********************************',
      '9000',
      /level 33 \(C-MAC, C-DECRYPTION, R-MAC and R-ENCRYPTION\)/,
    ],
    ['00C0000010', '6CFF', /fetches the rest.*wrong Le, right is 255/],
    ['00', '9000', /no command APDU/],
    ['0088000008****************', '6D00', /INTERNAL AUTHENTICATE.*instruction not supported/],
    ['8482FF0010********************************', '6982', /level FF \(unknown level\)/],
    ['80F24000024F00', '6A88', /instruction F2/],
    ['002C008104********', '6985', /RESET RETRY COUNTER/],
    ['00CA005F00', '6110', /GET DATA.*16 more bytes available/],
    ['00B2010400', '9000', /READ RECORD 1 of the current file/],
    ['8050300008****************00', '6C00', /key version 30.*right is 256/],
    ['00A4000002****', '6FFF', /SELECT file.*undefined$/],
  ])('%s', (command, response, said) => {
    expect(words(command, response)).toMatch(said);
  });

  test('a read protected by SCP03 tells its length by Le, which stays outside', () => {
    expect(words('04B0810008****************0C')).toContain('up to 12 bytes');
  });

  test.each([8, 16])('with MACs of %i bytes, VERIFY without data and with it are told apart', (length) => {
    const explainer = new TraceExplainer();
    const said = (command: string) => explainer.explain(exchange(command, '9000')).command.words.en;
    const hexLength = (bytes: number) => bytes.toString(16).padStart(2, '0');
    said(`80500000${hexLength(length)}${'01'.repeat(length)}00`);
    expect(said(`04200081${hexLength(length)}${'**'.repeat(length)}`)).toContain('asks for the tries left');
    const verify = `04200081${hexLength(16 + length)}${'**'.repeat(16 + length)}`;
    expect(said(verify)).toContain('VERIFY the PIN');
  });

  test("a protected read tells its length by DO'97'", () => {
    expect(words('0CB081000D97010C8E08****************00')).toContain('up to 12 bytes');
  });
});
