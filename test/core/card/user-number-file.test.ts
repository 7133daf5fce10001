import { describe, expect, test } from 'vitest';
import { encodeCommand } from '#core/apdu/command.ts';
import { splitResponse } from '#core/apdu/response.ts';
import { toHex } from '#core/bytes/bytes.ts';
import { type CardProfile, parseCardProfile } from '#core/card/profile.ts';
import { readUserNumber } from '#core/card/user-number-file.ts';
import { channelVariant } from './channel-variants.ts';
import { scripted, typeC } from './rig.ts';

const inHex = (text: string) => toHex(new TextEncoder().encode(text));

function profileOf(userNumber: object, application: object = {}): CardProfile {
  return parseCardProfile(
    {
      ...typeC,
      application: { ...typeC.application, ...application },
      userNumber: { ...typeC.userNumber, ...userNumber },
    },
    'test',
  );
}

/** What comes of these answers, and what was sent for them. */
function reading(profile: CardProfile, ...answers: readonly string[]) {
  const { transmit, commands } = scripted(...answers);
  const read = readUserNumber(profile, async (command) => ({
    ...splitResponse(await transmit(encodeCommand(command))),
    authentic: false,
    encrypted: false,
  }));
  return { read, sent: () => commands.map((command) => toHex(command)) };
}

const number = inHex('L00012345   ');

describe('the file', () => {
  test('is named in the read, or selected first', async () => {
    const short = reading(profileOf({ file: { shortFileId: 5 }, offset: 3 }), `${number}9000`);
    expect(await short.read).toEqual({ userNumber: 'L00012345', authentic: false, encrypted: false });
    expect(short.sent()).toEqual(['00B085030C']);
    const selected = reading(profileOf({ file: { fileId: '0011' }, offset: 0x123 }), '9000', `${number}9000`);
    expect((await selected.read).userNumber).toBe('L00012345');
    expect(selected.sent()).toEqual(['00A4020C020011', '00B001230C']);
  });

  test('with records is read by the number of the record, in the file named or selected', async () => {
    const record = { file: { shortFileId: 5, record: 3 }, offset: 2 };
    const short = reading(profileOf(record), `2323${number}9000`);
    expect((await short.read).userNumber).toBe('L00012345');
    expect(short.sent()).toEqual(['00B2032C00']);
    const selected = reading(profileOf({ file: { fileId: '0011', record: 3 } }), '9000', `${number}6282`);
    expect((await selected.read).userNumber).toBe('L00012345');
    expect(selected.sent()).toEqual(['00A4020C020011', '00B2030400']);
  });

  test.each(['6A82', '6982', '6283'])(
    'that cannot be selected or read, %s, gives no number',
    async (status) => {
      const said = `the user number cannot be read: status ${status}`;
      const fault = { code: 'card-answer-status', message: expect.stringContaining(said) };
      const profile = profileOf({ file: { fileId: '0011' } });
      await expect(reading(profile, status, `${number}9000`).read).rejects.toMatchObject(fault);
      await expect(reading(profile, '9000', `${number}${status}`).read).rejects.toMatchObject(fault);
      const record = profileOf({ file: { shortFileId: 5, record: 3 } });
      await expect(reading(record, `${number}${status}`).read).rejects.toMatchObject(fault);
    },
  );
});

describe('a long data object', () => {
  const tagged = { at: '70/5F20', length: 600, padding: 'none' };
  /** 70 L 5F20 09 number, and as much behind it as fills L bytes */
  const object = (length: number) =>
    `7082${length.toString(16).padStart(4, '0')}5F2009${inHex('L00012345')}${'81'}${'82'}${(length - 16).toString(16).padStart(4, '0')}${'33'.repeat(length - 16)}`;

  test('is read piece by piece, each asking for what is left, up to its end', async () => {
    const bytes = object(400);
    const { read, sent } = reading(
      profileOf(tagged),
      `${bytes.slice(0, 512)}9000`,
      `${bytes.slice(512)}9000`,
    );
    expect((await read).userNumber).toBe('L00012345');
    // 404 bytes: 256, and the 148 that are left
    expect(sent()).toEqual(['00B0810000', '00B0010094']);
  });

  test('whose end is not told is read as far as the profile says, or the file goes', async () => {
    const start = object(700).slice(0, 512);
    const pieces = [`${start}9000`, `${'33'.repeat(256)}9000`, `${'33'.repeat(88)}9000`];
    const { read, sent } = reading(profileOf(tagged), ...pieces);
    await expect(read).rejects.toMatchObject({ code: 'card-answer-malformed' });
    expect(sent()).toEqual(['00B0810000', '00B0010000', '00B0020058']);
    const ended = reading(profileOf(tagged), `${start}9000`, '6B00');
    await expect(ended.read).rejects.toMatchObject({ code: 'card-answer-malformed' });
    const refused = reading(profileOf(tagged), '6B00');
    await expect(refused.read).rejects.toMatchObject({ code: 'card-answer-status' });
  });

  test('comes in one answer of extended length', async () => {
    const { read, sent } = reading(profileOf(tagged, { extendedLength: true }), `${object(400)}9000`);
    expect((await read).userNumber).toBe('L00012345');
    expect(sent()).toEqual(['00B08100000258']);
  });
});

describe('an answer', () => {
  const format = { ...typeC.userNumber.format, minimumLength: 9, maximumLength: 9 };
  const fixed = (changes: object) => profileOf({ length: 9, padding: 'none', format, ...changes });

  test('longer than what was asked for is malformed, and so is one that is shorter than the number', async () => {
    await expect(reading(profileOf({}), `${number}209000`).read).rejects.toThrow(
      "the card's answer is malformed: it is longer than what was asked for",
    );
    await expect(reading(fixed({}), `${inHex('L0001234')}9000`).read).rejects.toThrow(
      "the card's answer is malformed: it is shorter than the user number",
    );
    expect((await reading(fixed({}), `${inHex('L00012345')}9000`).read).userNumber).toBe('L00012345');
  });

  test('without a byte, or without the object, holds no user number', async () => {
    const said = "the card's answer is malformed: it holds no user number";
    await expect(reading(profileOf({}), '6282').read).rejects.toThrow(said);
    await expect(reading(fixed({ at: '5F20', length: 20 }), '8101339000').read).rejects.toThrow(said);
  });

  test('that SCP03 cannot tell from one that was cut off is refused, unless the card says that the file ended', async () => {
    const { profile } = channelVariant({
      ...{ mechanism: 'scp03', cipher: 'aes-128', level: '33', mode: 's8', askedKeyVersion: 0 },
    });
    const said = "the card's answer is malformed: it is shorter than what was asked for";
    const short = inHex('E00054321');
    await expect(reading(profile, `${short}9000`).read).rejects.toThrow(said);
    expect((await reading(profile, `${short}6282`).read).userNumber).toBe('E00054321');
    const record = { ...profile, userNumber: { ...profile.userNumber, file: { shortFileId: 1, record: 1 } } };
    await expect(reading(record, `${short}9000`).read).rejects.toThrow(said);
    expect((await reading(record, `${short}6282`).read).userNumber).toBe('E00054321');
    // exactly as long as asked for, and longer, as records may be
    for (const content of [`${short}202020`, `${short}20202041`])
      expect((await reading(record, `${content}9000`).read).userNumber).toBe('E00054321');
  });
});

describe('what the bytes say', () => {
  test('ends before the padding, and before the nibble F that makes digits even', async () => {
    const profile = (encoding: string, padding: string, format: object) =>
      profileOf({ encoding, padding, length: 6, format: { ...format, minimumLength: 1, maximumLength: 6 } });
    const digits = { alphabet: 'digits' };
    const bcd = reading(profile('bcd', 'FF', digits), '00123FFFFFFF9000');
    expect((await bcd.read).userNumber).toBe('00123');
    // an F within the digits is none
    await expect(reading(profile('bcd', 'FF', digits), '0F123FFFFFFF9000').read).rejects.toMatchObject({
      code: 'user-number-format',
    });
    const zeros = reading(profile('ascii', '00', digits), '3031300000009000');
    expect((await zeros.read).userNumber).toBe('010');
  });

  test('is never repeated where it is refused', async () => {
    await expect(reading(profileOf({}), `${inHex('123456789018')}9000`).read).rejects.toMatchObject({
      code: 'user-number-individual-number',
      message: 'the card AP holds what looks like an Individual Number',
    });
    await expect(reading(profileOf({}), `${inHex('l00012345   ')}9000`).read).rejects.toMatchObject({
      code: 'user-number-format',
      message: 'the card AP holds a user number of another format than its profile says',
    });
    await expect(reading(profileOf({}), `${'20'.repeat(12)}9000`).read).rejects.toMatchObject({
      code: 'user-number-format',
    });
  });
});
