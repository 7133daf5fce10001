import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Command } from '#core/apdu/command.ts';
import { toHex } from '#core/bytes/bytes.ts';
import { scp03Protection } from '#core/card/channel/scp03/messages.ts';
import { isFault } from '#core/fault.ts';
import { mutualChannels, scp03Channels } from './channel-variants.ts';
import { type Joined, joinedByScp03, joinedMutually } from './joined-channels.ts';

interface Kind {
  readonly name: string;
  readonly join: () => Joined;
  readonly isScp03: boolean;
  readonly authentic: boolean;
  readonly encryptsAnswers: boolean;
  readonly carriesPins: boolean;
}

function kindOf(channel: (typeof mutualChannels)[number]): Kind {
  if (channel.mechanism === 'mutual') {
    const name = `mutual ${channel.cipher}, ${channel.sessionKeys}, ${channel.messages}`;
    const encryptsAnswers = channel.messages === 'encrypted';
    const join = () => joinedMutually(channel);
    return { name, join, isScp03: false, authentic: true, encryptsAnswers, carriesPins: true };
  }
  const protection = scp03Protection(channel.level);
  return {
    name: `SCP03 ${channel.cipher}, level ${channel.level}, ${channel.mode}`,
    join: () => joinedByScp03(channel),
    isScp03: true,
    authentic: protection.authenticatesResponses,
    encryptsAnswers: protection.encryptsResponses,
    carriesPins: protection.encryptsCommands,
  };
}

const kinds = [...mutualChannels, ...scp03Channels].map(kindOf);

const pinInstructions = [0x20, 0x24, 0x2c];
const isError = (status: number): boolean => status >> 8 >= 0x64 && status >> 8 !== 0x90;

const commands: fc.Arbitrary<Command> = fc
  .record({
    ins: fc.constantFrom(0xa4, 0xb0, 0xb2, 0x20, 0x24, 0xd6, 0xb1, 0xd7, 0x84),
    p1: fc.nat(255),
    p2: fc.nat(255),
    data: fc.option(fc.uint8Array({ minLength: 1, maxLength: 600 }), { nil: undefined }),
    expected: fc.option(fc.oneof(fc.integer({ min: 1, max: 256 }), fc.integer({ min: 1, max: 65_536 })), {
      nil: undefined,
    }),
  })
  .map(({ data, expected, ...rest }) => ({
    cla: 0,
    ...rest,
    ...(data && { data }),
    ...(expected && { expected }),
  }));

const answers = fc.record({
  data: fc.uint8Array({ maxLength: 600 }),
  status: fc.constantFrom(0x9000, 0x6282, 0x63c2, 0x6a82, 0x6983),
});

describe.each(kinds)('$name', ({ join, isScp03, authentic, encryptsAnswers, carriesPins }) => {
  const sent = commands.filter(({ ins, data }) => carriesPins || !data || !pinInstructions.includes(ins));

  test('both sides agree on any sequence of commands and answers', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(sent, answers), { maxLength: 6 }), (exchanges) => {
        const { terminal, card } = join();
        for (const [command, { data, status }] of exchanges) {
          expect(card.unwrap(terminal.wrap(command))).toEqual({ kind: 'command', command });
          const answer = card.wrap(data, status);
          if (isScp03 && isError(status)) {
            // goes out bare, and ends the session
            expect(toHex(answer)).toBe(status.toString(16).toUpperCase());
            expect(() => terminal.unwrap(answer)).toThrow(
              expect.objectContaining({ code: 'card-answer-status' }),
            );
            return;
          }
          const odd = !isScp03 && (command.ins & 1) === 1;
          const encrypted = data.length > 0 && (odd || encryptsAnswers);
          expect(terminal.unwrap(answer)).toEqual({ data, status, authentic, encrypted });
        }
      }),
      { numRuns: 40 },
    );
  });

  test('no changed response is taken for authentic, and the channel is dead after one', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (garbage) => {
        const { terminal, card } = join();
        const command = { cla: 0, ins: 0xb0, p1: 0, p2: 0, expected: 4 };
        card.unwrap(terminal.wrap(command));
        let thrown: unknown;
        try {
          expect(terminal.unwrap(garbage).authentic).toBe(false);
          expect(authentic).toBe(false);
        } catch (error) {
          thrown = error;
          expect(isFault(thrown)).toBe(true);
        }
        if (thrown === undefined) return;
        const dead = expect.objectContaining({ code: 'card-channel-closed' });
        expect(() => terminal.unwrap(new Uint8Array(16))).toThrow(dead);
        expect(() => terminal.wrap(command)).toThrow(dead);
      }),
      { numRuns: 40 },
    );
  });

  test('the card refuses any changed command, and is dead afterwards', () => {
    fc.assert(
      fc.property(sent, fc.nat(), (command, place) => {
        const { terminal, card } = join();
        const wrapped = terminal.wrap(command);
        // without the class, of which the card's system looks at the bits that no MAC covers, and without Le
        const extended = wrapped[4] === 0;
        const hasLe = !isScp03 || command.expected !== undefined;
        const covered = wrapped.length - 1 - (hasLe ? (extended ? 2 : 1) : 0);
        const bit = 8 + (place % (8 * covered));
        fc.pre(bit >> 3 < 4 || bit >> 3 > (extended ? 6 : 4));
        const changed = new Uint8Array(wrapped);
        changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (0x80 >> (bit & 7));
        expect(card.unwrap(changed).kind).toBe('refused');
        expect(card.unwrap(wrapped).kind).toBe('refused');
      }),
      { numRuns: 60 },
    );
  });

  test('a command sent again or out of order is refused by the card', () => {
    const first = { cla: 0, ins: 0xb0, p1: 0x81, p2: 0, expected: 4 };
    const second = { cla: 0, ins: 0xa4, p1: 2, p2: 0x0c, data: Uint8Array.of(0, 1) };
    const again = join();
    const wrapped = again.terminal.wrap(first);
    expect(again.card.unwrap(wrapped).kind).toBe('command');
    expect(again.card.unwrap(wrapped).kind).toBe('refused');
    const reordered = join();
    const early = reordered.terminal.wrap(first);
    expect(reordered.card.unwrap(reordered.terminal.wrap(second)).kind).toBe('refused');
    expect(reordered.card.unwrap(early).kind).toBe('refused');
    const [one, other] = [join(), join()];
    expect(other.card.unwrap(one.terminal.wrap(first)).kind).toBe('refused');
  });

  test('any bytes at all are opened or refused by the card', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (garbage) => {
        expect(join().card.unwrap(garbage).kind).toBe('refused');
      }),
      { numRuns: 40 },
    );
  });

  test('a PIN is encrypted, or does not leave the terminal', () => {
    const digits = new TextEncoder().encode('12345678');
    for (const ins of pinInstructions) {
      const { terminal, card } = join();
      const verify = { cla: 0, ins, p1: 0, p2: 0x81, data: digits };
      if (!carriesPins) {
        expect(() => terminal.wrap(verify)).toThrow(TypeError);
        continue;
      }
      const wrapped = terminal.wrap(verify);
      expect(toHex(wrapped)).not.toContain(toHex(digits));
      expect(card.unwrap(wrapped)).toMatchObject({ kind: 'command', command: { data: digits } });
    }
  });
});
