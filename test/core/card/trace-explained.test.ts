import { describe, expect, test } from 'vitest';
import { type Command, parseCommand } from '#core/apdu/command.ts';
import { fromHex, toHex } from '#core/bytes/bytes.ts';
import { apduKind, instructionKind } from '#core/card/trace/apdu-kind.ts';
import { type ExplainedExchange, TraceExplainer } from '#core/card/trace/explain.ts';
import { MaskedBytes } from '#core/card/trace/masked-bytes.ts';
import { TraceMask } from '#core/card/trace/trace-mask.ts';
import { typeA, typeC } from './rig.ts';

function explained(command: string, response?: string): ExplainedExchange {
  const answer = response === undefined ? { fault: 'card-removed' } : { response };
  return new TraceExplainer().explain({
    kind: 'exchange',
    number: 1,
    atUs: 0,
    tookUs: 0,
    command,
    ...answer,
  });
}

/** Depth, tag, length and value of each data object, as a table shows them. */
const rows = (objects: ExplainedExchange['command']['objects']) =>
  objects.map(({ depth, tag, length, value, name }) => [depth, tag, length, value, name.en]);

describe('data objects', () => {
  const select = '00A404000AF04B415A415355010A0100';

  test('of the answer to SELECT: templates before what they hold, each with its depth and name', () => {
    const { command, response } = explained(
      select,
      `6F1D840AF04B415A415355010A01A50FC00101C10A${'**'.repeat(10)}9000`,
    );
    expect(command).toMatchObject({ objects: [] });
    expect(command.data).toBeUndefined();
    expect(rows(response?.objects ?? [])).toEqual([
      [0, '6F', 29, undefined, 'FCI template'],
      [1, '84', 10, 'F04B415A415355010A01', 'DF name (AID)'],
      [1, 'A5', 15, undefined, 'proprietary information'],
      [2, 'C0', 1, '01', 'proprietary data'],
      [2, 'C1', 10, '**'.repeat(10), 'proprietary data'],
    ]);
    expect(response).toMatchObject({ status: '9000', words: { en: 'success' } });
    expect(response?.data).toBeUndefined();
  });

  test('with tags of two bytes, of which the first tells a template, and templates that are empty or malformed', () => {
    expect(rows(explained(select, '6F0A7F490481020A0B5F2000' + '9000').response?.objects ?? [])).toEqual([
      [0, '6F', 10, undefined, 'FCI template'],
      [1, '7F49', 4, undefined, 'proprietary data'],
      [2, '81', 2, '0A0B', 'proprietary data'],
      [1, '5F20', 0, '', 'proprietary data'],
    ]);
    expect(rows(explained(select, 'A500' + '9000').response?.objects ?? [])).toEqual([
      [0, 'A5', 0, '', 'proprietary information'],
    ]);
    expect(rows(explained(select, 'A5028105' + '9000').response?.objects ?? [])).toEqual([
      [0, 'A5', 2, '8105', 'proprietary information'],
    ]);
  });

  test('of protected messages: cryptograms stay closed, and the names are those of secure messaging', () => {
    const mac = `8E08${'**'.repeat(8)}`;
    const { command, response } = explained(
      `0CA4020C1181020011970100${mac}00`,
      `990290008E08${'11'.repeat(8)}9000`,
    );
    expect(rows(command.objects)).toEqual([
      [0, '81', 2, '0011', 'data in the clear'],
      [0, '97', 1, '00', 'expected length (Le)'],
      [0, '8E', 8, '**'.repeat(8), 'MAC'],
    ]);
    expect(command.protection?.en).toBe('secure messaging (ISO 7816-4)');
    expect(rows(response?.objects ?? [])).toEqual([
      [0, '99', 2, '9000', 'status'],
      [0, '8E', 8, '11'.repeat(8), 'MAC'],
    ]);
    // a constructed tag inside the protection is not looked into
    expect(rows(explained('0CB0810004A5028100', '9000').command.objects)).toEqual([
      [0, 'A5', 2, '8100', 'proprietary data'],
    ]);
  });
});

describe('data fields without data objects stand as they were recorded', () => {
  test.each([
    ['of a command', '0020008104********', '9000', '********', undefined],
    ['of an answer', '0084000008', '11223344556677889000', undefined, '1122334455667788'],
    ['of one that should have data objects and has none', '0CB0810003FF00FF00', 'FFFF9000', 'FF00FF', 'FFFF'],
    ['of the answer to a command that is none', '00', 'AABB9000', '00', 'AABB'],
    [
      'of GlobalPlatform secure messaging',
      '04B0810008********11223344',
      '****6282',
      '********11223344',
      '****',
    ],
  ])('%s', (_name, command, response, sent, received) => {
    const { command: asked, response: answered } = explained(command, response);
    expect(asked.data).toBe(sent);
    expect(answered?.data).toBe(received);
    expect([asked.objects, answered?.objects]).toEqual([[], []]);
  });

  test('an answer without two bytes has no status, and an exchange that broke off no answer', () => {
    expect(explained('0084000008', '90').response).toEqual({ objects: [], data: '90' });
    expect(explained('0084000008', '').response).toEqual({ objects: [] });
    expect(explained('0084000008')).not.toHaveProperty('response');
    expect(explained('0084000008', '6FFF').response).toEqual({ status: '6FFF', objects: [] });
    expect(explained('00', '9000').command).toMatchObject({ words: { ja: 'コマンドAPDUの形をしていない' } });
  });
});

describe('the command inside a protected one', () => {
  const words = (command: string) => explained(command, '9000').command.words.en;

  test("asks for as many bytes as DO'97' says, 00 for 256", () => {
    expect(words(`0CB081000D97010C8E08${'**'.repeat(8)}00`)).toContain('up to 12 bytes');
    expect(words(`0CB081000D9701008E08${'**'.repeat(8)}00`)).toContain('up to 256 bytes');
    expect(words(`0CB081000A8E08${'**'.repeat(8)}00`)).toContain('up to 0 bytes');
  });

  test.each(['81', '85', '87'])('has data in DO %s', (tag) => {
    expect(words(`0C2000810E${tag}0201028E08${'**'.repeat(8)}00`)).toContain('VERIFY the PIN');
  });

  test('names what it selects only where that is not encrypted', () => {
    expect(words('00A4020C020011')).toContain('0011');
    expect(explained('00A4020C020011', '9000').command.data).toBeUndefined();
    expect(explained('00A4020C020011', '9000').command).not.toHaveProperty('protection');
  });
});

describe('what an APDU does', () => {
  const kind = (hex: string) => apduKind(parseCommand(fromHex(hex)) as Command);

  test.each([
    ['00A40400', 'select-application'],
    ['00A4020C', 'select-file'],
    ['00B08100', 'read-binary'],
    ['00B18100', 'read-binary'],
    ['00B2010C', 'read-record'],
    ['00B3010C', 'read-record'],
    ['00200081', 'verify'],
    ['00240081', 'change-reference-data'],
    ['002C0081', 'reset-retry-counter'],
    ['00840000', 'get-challenge'],
    ['00820000', 'authenticate'],
    ['00880000', 'authenticate'],
    ['84823300', 'authenticate'],
    ['80500000', 'initialize-update'],
    ['84500000', 'initialize-update'],
    ['00500000', 'other'],
    ['00C00000', 'get-response'],
    ['00CA005F', 'get-data'],
    ['00CB3FFF', 'get-data'],
    ['00D68100', 'other'],
    // class bytes: both forms of secure messaging, their logical channels, and what is neither
    ['0CB08100', 'protected-iso'],
    ['0FB08100', 'protected-iso'],
    ['1CB08100', 'protected-iso'],
    ['04B08100', 'protected-gp'],
    ['84B08100', 'protected-gp'],
    ['8CB08100', 'protected-gp'],
    ['80B08100', 'other'],
    ['08B08100', 'read-binary'],
    ['44B08100', 'read-binary'],
    ['4CB08100', 'read-binary'],
    ['80F24000', 'other'],
  ])('%s is %s', (hex, expected) => {
    expect(kind(hex)).toBe(expected);
  });

  test('its instruction says the same in any class', () => {
    expect(instructionKind({ ins: 0xa4, p1: 4 })).toBe('select-application');
    expect(instructionKind({ ins: 0xa4, p1: 0 })).toBe('select-file');
    expect(instructionKind({ ins: 0x20, p1: 0 })).toBe('verify');
    expect(instructionKind({ ins: 0xe4, p1: 0 })).toBe('other');
  });
});

test('bytes that were not recorded are zero, and shown as what they are', () => {
  const masked = new MaskedBytes('0102****05');
  expect(toHex(masked.bytes)).toBe('0102000005');
  expect(masked.show()).toBe('0102****05');
  expect(masked.show(masked.bytes.subarray(1, 3))).toBe('02**');
  expect(masked.whole()).toBe(false);
  expect(masked.whole(masked.bytes.subarray(0, 2))).toBe(true);
  expect(masked.whole(masked.bytes.subarray(4))).toBe(true);
});

describe('the mask', () => {
  const masks = (protection: 'masked' | 'kept') => new TraceMask([typeA, typeC], protection);
  const select = fromHex('00A404000AF04B415A415355010A0100');
  const answered = (response: string, protection: 'masked' | 'kept' = 'masked', selected = select) => {
    const mask = masks(protection);
    mask.command(selected);
    return mask.response(selected, fromHex(response));
  };

  test('shows name, identifier, life cycle and size directly in FCI or FCP, and in no other template', () => {
    const harmless = '840201028302000180020100810200018A0105';
    for (const template of ['6F', '62'])
      expect(answered(`${template}13${harmless}9000`)).toBe(`${template}13${harmless}9000`);
    const hidden = '8402****8302****8002****8102****8A01**';
    for (const template of ['64', 'A5', '70'])
      expect(answered(`${template}13${harmless}9000`)).toBe(`${template}13${hidden}9000`);
    expect(answered(`6F15A513${harmless}9000`)).toBe(`6F15A513${hidden}9000`);
    expect(answered('840201029000')).toBe('8402****9000');
    expect(answered('6F0482020102' + '9000')).toBe('6F048202****9000');
    // a template of two bytes
    expect(answered('7F49048402AABB9000')).toBe('7F49048402****9000');
  });

  test('shows the key version where the profile of the AP selected last says, and the diversifier only if kept', () => {
    const answer = '6F11A50FC00101C10A4B415A4153550000000190' + '00';
    expect(answered(answer)).toBe(`6F11A50FC00101C10A${'**'.repeat(10)}9000`);
    expect(answered(answer, 'kept')).toBe(answer);
    const typeCSelected = fromHex('00A404000AF04B415A415355010C0100');
    for (const protection of ['masked', 'kept'] as const)
      expect(answered(answer, protection, typeCSelected)).toBe(`6F11A50FC001**C10A${'**'.repeat(10)}9000`);
  });

  test('shows of proprietary information nothing but what the profile names, kept or not', () => {
    const answer = '6F08A506C00101C201AA9000';
    for (const protection of ['masked', 'kept'] as const)
      expect(answered(answer, protection)).toBe('6F08A506C00101C201**9000');
    // no card AP was selected before, or one that has no profile here
    const other = fromHex('00A4040007F04B415A41535500');
    expect(answered(answer, 'kept', other)).toBe('6F08A506C001**C201**9000');
    expect(masks('kept').response(select, fromHex(answer))).toBe('6F08A506C001**C201**9000');
  });

  test('goes by the bytes of the APDU, wherever in memory they lie', () => {
    const within = (hex: string) => fromHex(`FFFFFF${hex}`).subarray(3);
    const mask = masks('masked');
    const aid = within('00A404000AF04B415A415355010A0100');
    expect(mask.command(aid)).toBe(toHex(aid));
    expect(mask.response(aid, within('6F048402AABB9000'))).toBe('6F048402AABB9000');
    expect(mask.command(within('00D681000000020A0B0000'))).toBe('00D68100000002****0000');
  });

  test('of SW 61xx and what is no command only the status word is shown', () => {
    expect(answered('6F048402AABB6105')).toBe(`${'**'.repeat(6)}6105`);
    expect(masks('kept').response(fromHex('00'), fromHex('01029000'))).toBe('****9000');
    expect(masks('kept').response(select, fromHex('90'))).toBe('90');
    expect(masks('kept').response(select, new Uint8Array())).toBe('');
    expect(masks('kept').command(fromHex('0020'))).toBe('0020');
    expect(masks('kept').command(fromHex('002000810431'))).toBe('00200081****');
  });

  test('shows what SELECT names and what INITIALIZE UPDATE carries, header, lengths and Le of anything', () => {
    expect(masks('masked').command(fromHex('00A4020C020011'))).toBe('00A4020C020011');
    expect(masks('masked').command(fromHex(`8050000008${'01'.repeat(8)}00`))).toBe(
      `8050000008${'01'.repeat(8)}00`,
    );
    expect(masks('masked').command(fromHex('00D681000000020A0B0000'))).toBe('00D68100000002****0000');
    expect(masks('masked').command(fromHex('0084000008'))).toBe('0084000008');
  });

  test('of protected messages keeps a MAC only where all that it covers is kept', () => {
    const mac = `8E08${'11'.repeat(8)}`;
    const hiddenMac = `8E08${'**'.repeat(8)}`;
    const read = fromHex(`0CB081000D97010C${mac}00`);
    const kept = (response: string) => masks('kept').response(read, fromHex(response));
    expect(masks('kept').command(read)).toBe(toHex(read));
    expect(masks('masked').command(read)).toBe(`0CB081000D97010C${hiddenMac}00`);
    expect(kept(`8502AABB99029000${mac}9000`)).toBe(`8502AABB99029000${mac}9000`);
    expect(kept(`8702AABB99029000${mac}9000`)).toBe(`8702AABB99029000${mac}9000`);
    expect(kept(`8102AABB99029000${mac}9000`)).toBe(`8102****99029000${hiddenMac}9000`);
    expect(kept(`8002AABB99029000${mac}9000`)).toBe(`8002****99029000${hiddenMac}9000`);
    const masked = masks('masked').response(read, fromHex(`8702AABB99029000${mac}9000`));
    expect(masked).toBe(`8702****99029000${hiddenMac}9000`);
    // the cryptogram of a PIN never, of VERIFY, CHANGE REFERENCE DATA and RESET RETRY COUNTER alike
    for (const ins of ['20', '24', '2C'])
      expect(masks('kept').command(fromHex(`0C${ins}00810E8702AABB${mac}00`))).toBe(
        `0C${ins}00810E8702****${hiddenMac}00`,
      );
  });

  test('keeps authentications whole only if they are to be kept', () => {
    const authenticate = fromHex('0082000002AABB02');
    expect(masks('kept').command(authenticate)).toBe('0082000002AABB02');
    expect(masks('masked').command(authenticate)).toBe('0082000002****02');
    expect(masks('kept').response(authenticate, fromHex('AABB9000'))).toBe('AABB9000');
    expect(masks('masked').response(authenticate, fromHex('AABB9000'))).toBe('****9000');
    expect(masks('masked').response(fromHex('0084000002'), fromHex('AABB9000'))).toBe('AABB9000');
  });

  test.each([
    ['01', false],
    ['03', false],
    ['11', true],
    ['13', true],
    ['33', true],
  ])(
    'of SCP03 at level %s shows cryptograms and bare MACs, as far as there are any',
    (level, hasResponseMac) => {
      const mask = masks('kept');
      mask.command(fromHex(`8050000008${'01'.repeat(8)}00`));
      mask.command(fromHex(`8482${level}0010${'AB'.repeat(16)}`));
      const command = fromHex(`04D6810010${'CD'.repeat(16)}`);
      const commandsEncrypted = (Number.parseInt(level, 16) & 2) !== 0;
      expect(mask.command(command).includes('*')).toBe(!commandsEncrypted);
      const bare = fromHex(`04B0810008${'CD'.repeat(8)}`);
      expect(mask.command(bare)).toBe(toHex(bare));
      const answerOf = (bytes: number) => mask.response(bare, fromHex(`${'EF'.repeat(bytes)}9000`));
      const answersEncrypted = level === '33';
      expect(answerOf(8).includes('*')).toBe(!(answersEncrypted || hasResponseMac));
      expect(answerOf(9).includes('*')).toBe(!answersEncrypted);
    },
  );

  test('of an SCP03 session shows nothing that went past it, and nothing at all unless it is to be kept', () => {
    const opening = [`8050000008${'01'.repeat(8)}00`, `8482330010${'AB'.repeat(16)}`];
    const [kept, masked] = [masks('kept'), masks('masked')];
    for (const command of opening) for (const mask of [kept, masked]) mask.command(fromHex(command));
    const clear = fromHex('00D6810002AABB');
    expect(kept.command(clear)).toBe('00D6810002****');
    expect(kept.response(fromHex('00B0810002'), fromHex('AABB9000'))).toBe('****9000');
    expect(kept.response(fromHex('80CA000002'), fromHex('AABB9000'))).toBe('****9000');
    const closed = fromHex(`04B0810008${'CD'.repeat(8)}`);
    expect(masked.command(closed)).toBe(`04B0810008${'**'.repeat(8)}`);
    expect(masked.response(closed, fromHex(`${'EF'.repeat(16)}9000`))).toBe(`${'**'.repeat(16)}9000`);
  });
});
