import { describe, expect, test } from 'vitest';
import type { Transmit } from '#core/apdu/transmit.ts';
import { concat, fromHex } from '#core/bytes/bytes.ts';
import { scp03Lengths } from '#core/card/channel/scp03/messages.ts';
import type { CardOutcome } from '#core/card/reading.ts';
import type { FaultCode } from '#core/fault.ts';
import { type ChannelVariant, channelVariant } from './channel-variants.ts';
import { pin, powered, session } from './rig.ts';

const mutual = { mechanism: 'mutual', sessionKeys: 'sha-256' } as const;
const scp03 = { mechanism: 'scp03', askedKeyVersion: 0 } as const;
const variants: readonly ChannelVariant[] = [
  channelVariant({ ...mutual, cipher: 'aes-128', messages: 'authenticated' }),
  channelVariant({ ...mutual, cipher: '3des', messages: 'encrypted' }),
  channelVariant(
    { ...scp03, cipher: 'aes-128', level: '33', mode: 's8' },
    { cardKeys: { challenge: 'pseudo-random' } },
  ),
  channelVariant({ ...scp03, cipher: 'aes-256', level: '13', mode: 's16' }),
  channelVariant({ ...scp03, cipher: 'aes-192', level: '11', mode: 's8' }),
];

const isScp03 = ({ profile }: ChannelVariant): boolean => profile.channel?.mechanism === 'scp03';

/** Bytes at the end of a protected response that are its MAC, or DO'8E' with it, the status word left out. */
function macTail({ profile: { channel } }: ChannelVariant): number {
  return channel?.mechanism === 'scp03' ? scp03Lengths[channel.mode] : 10;
}

type Change = (exchange: number, bytes: Uint8Array) => Uint8Array;
const unchanged: Change = (_exchange, bytes) => bytes;

/** A session whose traffic someone changes; exchanges count from 1. */
async function attacked(
  { profile, card, cardKeys }: ChannelVariant,
  change: Change,
  changeCommand = unchanged,
) {
  const virtual = powered(card);
  let exchange = 0;
  const transmit: Transmit = async (command) => {
    exchange += 1;
    const at = exchange;
    return change(at, await virtual.transmit(changeCommand(at, command)));
  };
  const open = session(transmit, { profiles: [profile], cardKeys });
  const outcome = await open.read();
  return { open, outcome, asked: () => exchange };
}

/** What a genuine session looks like, for lengths and replays. */
async function recorded(variant: ChannelVariant) {
  const commands: Uint8Array[] = [];
  const responses: Uint8Array[] = [];
  const { open, outcome } = await attacked(
    variant,
    (_exchange, response) => {
      responses.push(response);
      return response;
    },
    (_exchange, command) => {
      commands.push(command);
      return command;
    },
  );
  expect(outcome.kind).toBe('reading');
  await open.verifyPin(pin('1234'));
  expect(commands).toHaveLength(variant.profile.pin ? 6 : 4);
  return { commands, responses, outcome };
}

function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const changed = new Uint8Array(bytes);
  changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (0x80 >> (bit & 7));
  return changed;
}

/** What a change of the response of each exchange may end as; anything but a reading. */
const expectedCodes: Readonly<Record<number, readonly FaultCode[]>> = {
  1: [
    'card-answer-malformed',
    'card-answer-status',
    'card-diversifier-missing',
    'card-authentication-failed',
    'card-key-version',
    'key-unavailable',
  ],
  2: ['card-authentication-failed', 'card-answer-status', 'card-answer-malformed', 'card-key-version'],
  3: ['card-authentication-failed', 'card-answer-malformed', 'card-answer-status'],
  4: ['card-message-not-authentic', 'card-answer-status', 'card-answer-malformed'],
};

const codeOf = (outcome: CardOutcome): FaultCode | string =>
  outcome.kind === 'refused' ? outcome.fault.code : outcome.kind;

function readingOf(outcome: CardOutcome): object {
  if (outcome.kind !== 'reading') throw new Error(`no reading: ${codeOf(outcome)}`);
  return { ...outcome.reading, timings: undefined };
}

/** Nothing more may be sent, and nothing more is granted. */
async function expectDead({ open, asked }: Awaited<ReturnType<typeof attacked>>): Promise<void> {
  const before = asked();
  expect(await open.verifyPin(pin('1234'))).toMatchObject({
    kind: 'refused',
    fault: { code: 'card-channel-closed' },
  });
  expect(asked()).toBe(before);
}

/**
 * Bytes that nothing protects, since nothing hangs on them: the parameter i and the sequence counter that a card
 * tells, the key version it is asked for, and Le. A session in which one was changed is refused or the genuine one.
 */
function isUncovered(
  variant: ChannelVariant,
  way: 'command' | 'response',
  at: number,
  place: number,
  length: number,
) {
  if (way === 'command') return place === length - 1 || (isScp03(variant) && at === 2 && place === 2);
  const isSequence = place >= length - 5 && place < length - 2;
  return isScp03(variant) && at === 2 && (place === 12 || isSequence);
}

describe.each(variants)('$name', (variant) => {
  describe.each([1, 2, 3, 4])('the response of exchange %i', (at) => {
    const only = (change: (response: Uint8Array) => Uint8Array): Change => {
      return (exchange, response) => (exchange === at ? change(response) : response);
    };

    test('with any bit flipped yields no reading', async () => {
      const genuine = await recorded(variant);
      const { length } = genuine.responses[at - 1] ?? new Uint8Array();
      for (let bit = 0; bit < length * 8; bit += 1) {
        const result = await attacked(
          variant,
          only((response) => flipped(response, bit)),
        );
        if (result.outcome.kind === 'reading') {
          expect(isUncovered(variant, 'response', at, bit >> 3, length), `bit ${bit}`).toBe(true);
          expect(readingOf(result.outcome)).toEqual(readingOf(genuine.outcome));
          continue;
        }
        expect(expectedCodes[at], `bit ${bit}`).toContain(codeOf(result.outcome));
        await expectDead(result);
      }
    });

    test('cut off at any length, with and without a status word, yields no reading', async () => {
      const { length } = (await recorded(variant)).responses[at - 1] ?? new Uint8Array();
      for (let end = 0; end < length; end += 1) {
        const bare = await attacked(
          variant,
          only((response) => response.subarray(0, end)),
        );
        expect(expectedCodes[at], `length ${end}`).toContain(codeOf(bare.outcome));
        await expectDead(bare);
        if (end >= length - 2) continue;
        const cut = (response: Uint8Array) => concat(response.subarray(0, end), Uint8Array.of(0x90, 0x00));
        const ended = await attacked(variant, only(cut));
        expect(expectedCodes[at], `length ${end} and 9000`).toContain(codeOf(ended.outcome));
        await expectDead(ended);
      }
    });

    test('replaced by any earlier one, or one of another session, yields no reading', async () => {
      const genuine = await recorded(variant);
      const seen: Uint8Array[] = [];
      for (let other = 0; other < 4; other += 1) {
        const replay = await attacked(variant, (exchange, response) => {
          seen[exchange - 1] = response;
          return exchange === at && other < at - 1 ? (seen[other] ?? response) : response;
        });
        if (other < at - 1) expect(expectedCodes[at]).toContain(codeOf(replay.outcome));
        const foreign = genuine.responses[other] ?? new Uint8Array();
        const result = await attacked(
          variant,
          only(() => foreign),
        );
        // what is the same in every session: the answer to SELECT, and 9000 to EXTERNAL AUTHENTICATE
        const isSame = other === at - 1 && (at === 1 || (isScp03(variant) && at === 3));
        if (isSame) expect(readingOf(result.outcome)).toEqual(readingOf(genuine.outcome));
        else expect(expectedCodes[at], `${other}`).toContain(codeOf(result.outcome));
      }
    });
  });

  describe.each([1, 2, 3, 4])('the command of exchange %i', (at) => {
    test('with any bit flipped yields no reading, or where nothing hangs on it the genuine one', async () => {
      const genuine = await recorded(variant);
      const { length } = genuine.commands[at - 1] ?? new Uint8Array();
      for (let bit = 0; bit < length * 8; bit += 1) {
        const result = await attacked(variant, unchanged, (exchange, command) =>
          exchange === at ? flipped(command, bit) : command,
        );
        if (result.outcome.kind === 'reading') {
          expect(isUncovered(variant, 'command', at, bit >> 3, length), `bit ${bit}`).toBe(true);
          expect(readingOf(result.outcome)).toEqual(readingOf(genuine.outcome));
          continue;
        }
        // a changed AID is another application, which the card does not have
        const kinds = at === 1 ? ['refused', 'unknown-card'] : ['refused'];
        expect(kinds, `bit ${bit}`).toContain(result.outcome.kind);
        await expectDead(result);
      }
    });

    test('cut off at any length yields no reading', async () => {
      const genuine = await recorded(variant);
      const { length } = genuine.commands[at - 1] ?? new Uint8Array();
      for (let end = 0; end < length; end += 1) {
        const result = await attacked(variant, unchanged, (exchange, command) =>
          exchange === at ? command.subarray(0, end) : command,
        );
        // the outer Le of secure messaging is a formality; the protected one is in DO'97'
        if (at === 4 && end === length - 1 && !isScp03(variant)) {
          expect(readingOf(result.outcome)).toEqual(readingOf(genuine.outcome));
        } else expect(codeOf(result.outcome), `length ${end}`).not.toBe('reading');
      }
    });

    test('sent twice yields no reading', async () => {
      if (at === 1) return;
      const { profile, card, cardKeys } = variant;
      const virtual = powered(card);
      let exchange = 0;
      const open = session(
        async (command) => {
          exchange += 1;
          if (exchange === at) await virtual.transmit(command);
          return virtual.transmit(command);
        },
        { profiles: [profile], cardKeys },
      );
      const outcome = await open.read();
      // a second challenge takes the place of the first, and is the one that is used
      if (at === 2) expect(outcome.kind).toBe('reading');
      else expect(outcome.kind).toBe('refused');
    });
  });

  if (variant.profile.pin)
    test('no flipped bit, cut or replay of the answers to VERIFY verifies', async () => {
      const genuine = await recorded(variant);
      for (const at of [5, 6]) {
        const original = genuine.responses[at - 1] ?? new Uint8Array();
        const changes: ((response: Uint8Array) => Uint8Array)[] = [
          () => original,
          () => Uint8Array.of(0x90, 0x00),
          (response) => response.subarray(0, -macTail(variant) - 2),
        ];
        for (let bit = 0; bit < original.length * 8; bit += 1)
          changes.push((response) => flipped(response, bit));
        for (let length = 0; length < original.length; length += 1)
          changes.push((response) => response.subarray(0, length));
        for (const change of changes) {
          const result = await attacked(variant, (exchange, response) =>
            exchange === at ? change(response) : response,
          );
          expect((await result.open.verifyPin(pin('1234'))).kind).toBe('refused');
          await expectDead(result);
        }
      }
    });

  if (variant.profile.pin)
    test('the answer to the counter query does not pass for the answer to the PIN', async () => {
      const seen: Uint8Array[] = [];
      const result = await attacked(variant, (exchange, response) => {
        seen[exchange] = response;
        return exchange === 6 ? (seen[5] ?? response) : response;
      });
      expect(await result.open.verifyPin(pin('1234'))).toMatchObject({
        kind: 'refused',
        fault: { code: 'card-message-not-authentic' },
      });
    });

  test.each([
    [0x9000, 'card-message-not-authentic'],
    [0x6282, 'card-message-not-authentic'],
    [0x6283, 'card-message-not-authentic'],
    [0x6300, 'card-message-not-authentic'],
    [0x63c3, 'card-message-not-authentic'],
    [0x6982, 'card-answer-status'],
    [0x6a82, 'card-answer-status'],
    [0x6988, 'card-answer-status'],
    [0x6f00, 'card-answer-status'],
  ])('a bare %i instead of the protected read is %s', async (status, code) => {
    const result = await attacked(variant, (exchange, response) =>
      exchange === 4 ? Uint8Array.of(status >> 8, status & 0xff) : response,
    );
    expect(codeOf(result.outcome)).toBe(code);
    await expectDead(result);
  });

  test('the user number in the clear, or without the MAC behind it, is not authentic', async () => {
    const plain = concat(new TextEncoder().encode('E00054321   '), Uint8Array.of(0x90, 0x00));
    for (const change of [
      () => plain,
      (response: Uint8Array) =>
        concat(response.subarray(0, -macTail(variant) - 2), Uint8Array.of(0x90, 0x00)),
    ]) {
      const result = await attacked(variant, (exchange, response) =>
        exchange === 4 ? change(response) : response,
      );
      expect(codeOf(result.outcome)).toBe('card-message-not-authentic');
      await expectDead(result);
    }
  });

  test('two sessions with their protected answers swapped yield no reading', async () => {
    const waiting: ((response: Uint8Array) => void)[] = [];
    const answers: Uint8Array[] = [];
    const swap = (response: Uint8Array): Promise<Uint8Array> => {
      answers.push(response);
      const [first] = answers;
      const other = waiting.shift();
      if (!other || !first) return new Promise((resolve) => waiting.push(resolve));
      other(response);
      return Promise.resolve(first);
    };
    const { profile, card, cardKeys } = variant;
    const swapped = [powered(card), powered(card)].map((virtual) => {
      let count = 0;
      const transmit: Transmit = async (command) => {
        count += 1;
        const response = await virtual.transmit(command);
        return count < 4 ? response : swap(response);
      };
      return session(transmit, { profiles: [profile], cardKeys }).read();
    });
    for (const outcome of await Promise.all(swapped)) {
      expect(codeOf(outcome)).toBe('card-message-not-authentic');
    }
  });

  test('what the terminal sent comes back, even its own challenge, and authenticates nobody', async () => {
    const genuine = await recorded(variant);
    const select = genuine.responses[0] ?? new Uint8Array();
    const fixed = (length: number) => new Uint8Array(length).fill(7);
    for (const challenge of [fixed(8), fromHex('FFEEDDCCBBAA9988')]) {
      let count = 0;
      const mirror: Transmit = async (command) => {
        count += 1;
        if (count === 1) return select;
        if (count === 2 && !isScp03(variant)) return concat(challenge, fromHex('9000'));
        if (count === 2) {
          // INITIALIZE UPDATE answered with the terminal's own challenge, twice over
          const own = command.subarray(5, 5 + (command[4] ?? 0));
          return concat((genuine.responses[1] ?? own).subarray(0, 13), own, own, fromHex('9000'));
        }
        return concat(command.subarray(5, 45), fromHex('9000'));
      };
      const { profile, cardKeys } = variant;
      const outcome = await session(mirror, { profiles: [profile], cardKeys, randomBytes: fixed }).read();
      expect(['card-authentication-failed', 'card-answer-malformed']).toContain(codeOf(outcome));
    }
  });
});
