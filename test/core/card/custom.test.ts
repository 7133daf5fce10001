import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { concat, fromHex, toHex } from '#core/bytes/bytes.ts';
import { buildTlv } from '#core/bytes/tlv.ts';
import type { CardProfile } from '#core/card/profile.ts';
import { readUserNumber } from '#core/card/user-number-file.ts';
import {
  channelVariant,
  mutualChannels,
  scp03Channels,
  type VariantChanges,
  variantDiversifier,
} from './channel-variants.ts';
import { pin, powered, session } from './rig.ts';

function afterMicrotasks(count: number, action: () => void): void {
  if (count === 0) action();
  else queueMicrotask(() => afterMicrotasks(count - 1, action));
}

type Channel = NonNullable<CardProfile['channel']>;

/** Reads the card of a variant, and tells the commands it took. */
async function reading(
  channel: Channel,
  changes: VariantChanges = {},
  tamper = (command: Uint8Array) => command,
) {
  const { profile, card, cardKeys } = channelVariant(channel, changes);
  const virtual = powered(card);
  const commands: Uint8Array[] = [];
  const open = session(
    (command) => {
      commands.push(command);
      return virtual.transmit(tamper(command));
    },
    { profiles: [profile], cardKeys },
  );
  return { outcome: await open.read(), open, commands, virtual, profile };
}

const scp03: Channel = {
  mechanism: 'scp03',
  cipher: 'aes-128',
  level: '33',
  mode: 's8',
  askedKeyVersion: 0,
};
const mutual: Channel = {
  mechanism: 'mutual',
  cipher: 'aes-128',
  sessionKeys: 'sha-256',
  messages: 'encrypted',
};

describe('the assurance of a custom card AP is what its channel achieved', () => {
  test.each(mutualChannels.map((channel) => [channelVariant(channel).name, channel] as const))(
    '%s',
    async (_name, channel) => {
      const { outcome, open } = await reading(channel);
      const encryption =
        channel.mechanism === 'mutual' && channel.messages === 'encrypted' ? ['encryption'] : [];
      const assurance = ['mutual-authentication', 'message-authentication', ...encryption];
      expect(outcome).toMatchObject({ reading: { userNumber: 'E00054321', assurance, keyVersion: 1 } });
      expect(await open.verifyPin(pin('1234'))).toMatchObject({
        kind: 'verified',
        reading: { assurance: [...assurance, 'pin'] },
      });
    },
  );

  test.each(scp03Channels.map((channel) => [channelVariant(channel).name, channel] as const))(
    '%s',
    async (_name, channel) => {
      if (channel.mechanism !== 'scp03') throw new Error('not SCP03');
      const { outcome, open, commands, profile } = await reading(channel);
      const achieved = {
        '01': [],
        '03': [],
        '11': ['mutual-authentication', 'message-authentication'],
        '13': ['mutual-authentication', 'message-authentication'],
        '33': ['mutual-authentication', 'message-authentication', 'encryption'],
      } as const;
      expect(outcome).toMatchObject({
        reading: {
          userNumber: 'E00054321',
          assurance: achieved[channel.level],
          diversifier: variantDiversifier,
          timings: { exchanges: 4 },
        },
      });
      expect(commands).toHaveLength(4);
      const verified = await open.verifyPin(pin('1234'));
      expect(verified.kind).toBe(profile.pin ? 'verified' : 'refused');
    },
  );

  test('one without a channel proves nothing', async () => {
    const { profile, card } = channelVariant(mutual, { file: { read: 'always' } });
    const { channel: _channel, keys: _keys, pin: _pin, ...plain } = profile;
    const open = session(powered(card).transmit, { profiles: [plain] });
    expect(await open.read()).toMatchObject({ reading: { method: 'custom', assurance: [] } });
  });

  test('keys that all cards share prove no diversifier', async () => {
    const { profile, card, cardKeys } = channelVariant(scp03);
    const shared = { ...profile, keys: { versions: [1], diversification: 'none' as const } };
    const open = session(powered(card).transmit, { profiles: [shared], cardKeys });
    const outcome = await open.read();
    expect(outcome).toMatchObject({ kind: 'reading', reading: { keyVersion: 1 } });
    expect(outcome).not.toHaveProperty('reading.diversifier');
  });
});

test('Le, which no C-MAC of SCP03 covers, cannot be lowered to be given another number', async () => {
  for (const changes of [
    {},
    {
      userNumber: { file: { shortFileId: 1, record: 1 } },
      file: { content: undefined, records: [{ text: 'E00054321   ' }] },
    },
  ]) {
    for (let le = 0; le < 256; le += 1) {
      const { outcome } = await reading(scp03, changes, (command) => {
        if ((command[1] ?? 0) !== 0xb0 && (command[1] ?? 0) !== 0xb2) return command;
        const changed = new Uint8Array(command);
        changed[changed.length - 1] = le;
        return changed;
      });
      if (outcome.kind === 'reading') expect(outcome.reading.userNumber, `Le ${le}`).toBe('E00054321');
      else
        expect(outcome, `Le ${le}`).toMatchObject({ fault: { code: expect.stringMatching(/^card-answer/) } });
    }
  }
});

describe('whatever a card answers', () => {
  test.each([mutual, scp03, { ...scp03, level: '01' } as const])(
    'the session ends as a value',
    async (channel) => {
      const { profile, card, cardKeys } = channelVariant(channel);
      await fc.assert(
        fc.asyncProperty(
          fc.integer({ min: 1, max: 4 }),
          fc.uint8Array({ maxLength: 60 }),
          async (at, garbage) => {
            const virtual = powered(card);
            let exchange = 0;
            const open = session(
              async (command) => {
                exchange += 1;
                const response = await virtual.transmit(command);
                return exchange === at ? garbage : response;
              },
              { profiles: [profile], cardKeys },
            );
            const outcome = await open.read();
            // level 01 authenticates no answer: what it reads is nobody's, and says so
            if (outcome.kind === 'reading') expect(outcome.reading.assurance).toEqual([]);
            else expect(['refused', 'unknown-card']).toContain(outcome.kind);
          },
        ),
        { numRuns: 300 },
      );
    },
  );

  test.each([mutual, scp03])('an error within the session is told, and ends it', async (channel) => {
    const { outcome, open } = await reading(channel, { file: { read: 'pin' } });
    expect(outcome).toMatchObject({
      kind: 'refused',
      fault: { code: 'card-answer-status', message: expect.stringContaining('6982') },
    });
    expect(await open.verifyPin(pin('1234'))).toMatchObject({ fault: { code: 'card-channel-closed' } });
  });

  test.each([mutual, scp03])(
    'a session closed at any moment stays closed, and its keys with it',
    async (channel) => {
      const { profile, card, cardKeys } = channelVariant(channel);
      for (let at = 1; at <= 5; at += 1) {
        for (let steps = 0; steps < 24; steps += 1) {
          const virtual = powered(card);
          let exchange = 0;
          const open = session(
            async (command) => {
              exchange += 1;
              const response = await virtual.transmit(command);
              if (exchange === at) afterMicrotasks(steps, () => open.close());
              return response;
            },
            { profiles: [profile], cardKeys },
          );
          const outcome = await open.read();
          if (outcome.kind !== 'reading') {
            expect(outcome, `${at}, ${steps}`).toMatchObject({ fault: { code: 'card-channel-closed' } });
          }
          const isClosed = { kind: 'refused', fault: { code: 'card-channel-closed' } };
          if (at < 5) await new Promise(setImmediate);
          // the fifth exchange is the first of this
          const verified = await open.verifyPin(pin('1234'));
          if (at < 5 || verified.kind !== 'verified') expect(verified).toMatchObject(isClosed);
          await new Promise(setImmediate);
          const asked = exchange;
          expect((await open.verifyPin(pin('1234'))).kind).toBe('refused');
          expect(exchange).toBe(asked);
        }
      }
    },
  );

  test('nothing that a card says of a PIN is believed without a MAC', async () => {
    const { profile, card, cardKeys } = channelVariant({ ...scp03, level: '03' });
    const digits = { minimumDigits: 4, maximumDigits: 8, encoding: 'ascii', padding: 'none' } as const;
    const policy = { reference: 129, ...digits, minimumTriesLeft: 1 };
    // no such profile is taken; should one come by another way, it verifies nothing
    const open = session(powered(card).transmit, { profiles: [{ ...profile, pin: policy }], cardKeys });
    expect(await open.read()).toMatchObject({ kind: 'reading' });
    expect(await open.verifyPin(pin('1234'))).toMatchObject({
      kind: 'refused',
      fault: { code: 'card-message-not-authentic' },
    });
  });
});

describe('where the user number lies', () => {
  const number = new TextEncoder().encode('E00054321');
  const inObject = (before: Uint8Array, after: Uint8Array) =>
    buildTlv(0x70, concat(before, buildTlv(0x5f20, number), after));
  const hex = (...parts: Uint8Array[]) => ({ content: { hex: toHex(concat(...parts)) } });
  const filler = (length: number) => buildTlv(0x81, new Uint8Array(length).fill(0x33));
  const tagged = (length: number) => ({ at: '70/5F20', length, padding: 'none' });
  const everyChannel = [
    mutual,
    { ...mutual, messages: 'authenticated' } as const,
    scp03,
    { ...scp03, level: '11', mode: 's16' } as const,
  ];
  const none = new Uint8Array();

  test.each(everyChannel)('a data object, behind padding and before other content', async (channel) => {
    const file = hex(new Uint8Array(3), inObject(filler(5), filler(2)), Uint8Array.of(0xff, 0x99, 0x84));
    const { outcome, commands } = await reading(channel, { userNumber: tagged(200), file });
    expect(outcome).toMatchObject({ reading: { userNumber: 'E00054321' } });
    expect(commands).toHaveLength(4);
  });

  test.each(everyChannel)(
    'a long data object is read in pieces, and no further than its end',
    async (channel) => {
      const file = hex(inObject(filler(700), none), new Uint8Array(900).fill(0xff));
      const { outcome, commands } = await reading(channel, { userNumber: tagged(2000), file });
      expect(outcome).toMatchObject({ reading: { userNumber: 'E00054321' } });
      expect(commands).toHaveLength(3 + Math.ceil((700 + 20) / 223));
    },
  );

  test.each(everyChannel)('a data object that ends with the file, however long', async (channel) => {
    for (const length of [180, 195, 196, 197, 198, 199, 200, 418, 419, 420, 421, 422, 423, 424]) {
      const file = hex(inObject(filler(length), none));
      const { outcome } = await reading(channel, { userNumber: tagged(2000), file });
      expect(outcome, `${length}`).toMatchObject({ reading: { userNumber: 'E00054321' } });
    }
  });

  test.each(everyChannel)('with extended length, all in one command', async (channel) => {
    const file = hex(inObject(filler(700), none));
    const changes = { userNumber: tagged(1000), file, application: { extendedLength: true } };
    const { outcome, commands } = await reading(channel, changes);
    expect(outcome).toMatchObject({ reading: { userNumber: 'E00054321' } });
    expect(commands).toHaveLength(4);
    const refused = await reading(channel, { ...changes, card: { extendedLength: false } });
    expect(refused.outcome).toMatchObject({ kind: 'refused', fault: { code: 'card-answer-status' } });
  });

  test('deep in a file that is selected by its identifier', async () => {
    const file = hex(new Uint8Array(1000), new TextEncoder().encode('E00054321   '));
    const { outcome, commands } = await reading(scp03, {
      userNumber: { file: { fileId: '0001' }, offset: 1000 },
      file,
    });
    expect(outcome).toMatchObject({ reading: { userNumber: 'E00054321' } });
    expect(toHex(commands[4]?.subarray(0, 4) ?? none)).toBe('04B003E8');
  });

  test('a record, and a data object in a record', async () => {
    const records = [{ text: 'other' }, { text: '##E00054321 ' }, { hex: toHex(inObject(none, none)) }];
    const at = (record: number) => ({ shortFileId: 1, record });
    const file = { content: undefined, records };
    const plain = await reading(mutual, { userNumber: { file: at(2), offset: 2, length: 10 }, file });
    expect(plain.outcome).toMatchObject({ reading: { userNumber: 'E00054321' } });
    const object = await reading(scp03, { userNumber: { file: at(3), ...tagged(100) }, file });
    expect(object.outcome).toMatchObject({ reading: { userNumber: 'E00054321' } });
    // shorter than the profile says: with SCP03 somebody may have cut it off
    const short = await reading(scp03, { userNumber: { file: at(2), offset: 2, length: 12 }, file });
    expect(short.outcome).toMatchObject({ fault: { code: 'card-answer-malformed' } });
  });

  const bcd = { encoding: 'bcd', padding: 'FF', length: 6 };
  const digits = (minimumLength: number, maximumLength: number) => ({
    format: { alphabet: 'digits', minimumLength, maximumLength },
  });

  test.each([
    ['0012345678FF', '0012345678'],
    ['001234567FFF', '001234567'],
    ['001234567890', '001234567890'],
  ])('bcd %s is %s', async (content, userNumber) => {
    const { outcome } = await reading(scp03, {
      userNumber: { ...bcd, ...digits(8, 12) },
      file: { content: { hex: content } },
    });
    expect(outcome).toMatchObject({ reading: { userNumber } });
  });

  test.each([
    ['00123A5678FF', 'user-number-format'],
    ['FFFFFFFFFFFF', 'user-number-format'],
    ['123456789018', 'user-number-individual-number'],
  ])('bcd %s is refused: %s', async (content, code) => {
    const { outcome } = await reading(scp03, {
      userNumber: { ...bcd, ...digits(8, 12) },
      file: { content: { hex: content } },
    });
    expect(outcome).toMatchObject({ kind: 'refused', fault: { code } });
    expect(JSON.stringify(outcome)).not.toContain('1234');
  });

  test.each([
    ['no such object', '7004' + '81021111'],
    ['another template', '7104' + '81021111'],
    ['an object longer than the file', '7081F05F2009453030303534333231'],
    ['an empty object', '70035F2000'],
    ['nothing but padding', '00'.repeat(40)],
    ['garbage', '1F8080808080'],
  ])('%s is malformed', async (_name, content) => {
    for (const channel of [mutual, scp03]) {
      const { outcome } = await reading(channel, {
        userNumber: tagged(200),
        file: { content: { hex: content } },
      });
      expect(outcome).toMatchObject({ kind: 'refused', fault: { code: 'card-answer-malformed' } });
    }
  });
});

describe('a card that says the file has ended', () => {
  test('before a user number without padding is whole is malformed', async () => {
    const format = { alphabet: 'alphanumeric', minimumLength: 9, maximumLength: 9 };
    const userNumber = { length: 9, padding: 'none', format };
    const read = (text: string) => reading(scp03, { userNumber, file: { content: { text } } });
    expect((await read('E00054321')).outcome).toMatchObject({ reading: { userNumber: 'E00054321' } });
    expect((await read('E0005432')).outcome).toMatchObject({ fault: { code: 'card-answer-malformed' } });
    expect((await read('')).outcome).toMatchObject({ fault: { code: 'card-answer-status' } });
  });

  test('after a record that is no longer than its user number is believed, and 9000 is not', async () => {
    const format = { alphabet: 'alphanumeric', minimumLength: 4, maximumLength: 12 };
    const userNumber = { file: { shortFileId: 1, record: 1 }, length: 12, padding: '20', format };
    const { profile } = channelVariant(scp03, { userNumber });
    const answered = (status: number) =>
      readUserNumber(profile, async () => {
        return { data: new TextEncoder().encode('E00054321'), status, authentic: true, encrypted: true };
      });
    expect(await answered(0x6282)).toMatchObject({ userNumber: 'E00054321', authentic: true });
    await expect(answered(0x9000)).rejects.toMatchObject({ code: 'card-answer-malformed' });
  });

  test('past the last piece, in the clear or in secure messaging, ends the reading of a file', async () => {
    const number = fromHex('4530303035343332312020200000');
    const content = { hex: toHex(concat(number, new Uint8Array(223 - number.length))) };
    const userNumber = {
      length: 223 * 2,
      padding: '00',
      format: { alphabet: 'alphanumeric', minimumLength: 1, maximumLength: 64 },
    };
    // exactly one piece: the second READ finds nothing, and 6B00 is authentic
    const { outcome, commands } = await reading(mutual, { userNumber, file: { content } });
    expect(outcome).toMatchObject({ kind: 'refused', fault: { code: 'user-number-format' } });
    expect(commands).toHaveLength(5);
  });
});
