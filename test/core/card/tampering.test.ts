import { describe, expect, test } from 'vitest';
import type { Transmit } from '#core/apdu/transmit.ts';
import { concat, fromHex } from '#core/bytes/bytes.ts';
import type { CardOutcome } from '#core/card/reading.ts';
import type { FaultCode } from '#core/fault.ts';
import { deckCard, pin, powered, session, testKeys, typeA } from './rig.ts';

/** A Type A session whose traffic someone changes; exchanges count from 1. */
async function attacked(
  change: (exchange: number, response: Uint8Array) => Uint8Array,
  changeCommand: (exchange: number, command: Uint8Array) => Uint8Array = (_exchange, command) => command,
) {
  const card = powered(deckCard('employee'));
  let exchange = 0;
  let asked = 0;
  const transmit: Transmit = async (command) => {
    exchange += 1;
    asked += 1;
    const at = exchange;
    return change(at, await card.transmit(changeCommand(at, command)));
  };
  const open = session(transmit, { profiles: [typeA] });
  const outcome = await open.read();
  return { open, outcome, asked: () => asked };
}

/** What a genuine session looks like, for lengths and replays. */
async function recorded() {
  const commands: Uint8Array[] = [];
  const responses: Uint8Array[] = [];
  const card = powered(deckCard('employee'));
  const open = session(
    async (command) => {
      const response = await card.transmit(command);
      commands.push(command);
      responses.push(response);
      return response;
    },
    { profiles: [typeA] },
  );
  const outcome = await open.read();
  expect(outcome.kind).toBe('reading');
  await open.verifyPin(pin('1234'));
  expect(commands).toHaveLength(6);
  return { commands, responses, outcome };
}

const genuine = await recorded();

function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const changed = new Uint8Array(bytes);
  changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (0x80 >> (bit & 7));
  return changed;
}

/** What a change at each exchange may end as; anything but a reading. */
const expected: Readonly<Record<number, readonly FaultCode[]>> = {
  1: [
    'card-answer-malformed',
    'card-answer-status',
    'card-diversifier-missing',
    'card-authentication-failed',
    'key-unavailable',
  ],
  2: ['card-authentication-failed', 'card-answer-status', 'card-answer-malformed'],
  3: ['card-authentication-failed', 'card-answer-malformed'],
  4: ['card-message-not-authentic', 'card-answer-status', 'card-answer-malformed'],
};

function codeOf(outcome: CardOutcome): FaultCode | string {
  return outcome.kind === 'refused' ? outcome.fault.code : outcome.kind;
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

describe.each([1, 2, 3, 4])('the response of exchange %i', (at) => {
  const original = genuine.responses[at - 1] ?? new Uint8Array();

  test('with any bit flipped yields no reading', async () => {
    for (let bit = 0; bit < original.length * 8; bit += 1) {
      const result = await attacked((exchange, response) =>
        exchange === at ? flipped(response, bit) : response,
      );
      expect(expected[at], `bit ${bit}`).toContain(codeOf(result.outcome));
      await expectDead(result);
    }
  });

  test('cut off at any length yields no reading', async () => {
    for (let length = 0; length < original.length; length += 1) {
      const result = await attacked((exchange, response) =>
        exchange === at ? response.subarray(0, length) : response,
      );
      expect(expected[at], `length ${length}`).toContain(codeOf(result.outcome));
      await expectDead(result);
    }
  });

  test('cut off but with its status word yields no reading', async () => {
    for (let length = 0; length < original.length - 2; length += 1) {
      const result = await attacked((exchange, response) =>
        exchange === at ? concat(response.subarray(0, length), Uint8Array.of(0x90, 0x00)) : response,
      );
      expect(expected[at], `length ${length}`).toContain(codeOf(result.outcome));
      await expectDead(result);
    }
  });

  test('replaced by any earlier one, of this session or another, yields no reading', async () => {
    const seen: Uint8Array[] = [];
    for (let other = 0; other < 4; other += 1) {
      const replay = await attacked((exchange, response) => {
        seen[exchange - 1] = response;
        return exchange === at && other < exchange - 1 ? (seen[other] ?? response) : response;
      });
      if (other < at - 1) expect(expected[at]).toContain(codeOf(replay.outcome));
      const foreign = genuine.responses[other] ?? new Uint8Array();
      const swapped = await attacked((exchange, response) => (exchange === at ? foreign : response));
      // the answer to SELECT is the same in every session, and the card's nonce alone opens nothing
      if (at === 1 && other === 0) expect(codeOf(swapped.outcome)).toBe('reading');
      else expect(expected[at], `${other}`).toContain(codeOf(swapped.outcome));
    }
  });
});

describe.each([1, 2, 3, 4])('the command of exchange %i', (at) => {
  const original = genuine.commands[at - 1] ?? new Uint8Array();

  test('with any bit flipped yields no reading, or (in Le, which no MAC covers) the genuine one', async () => {
    for (let bit = 0; bit < original.length * 8; bit += 1) {
      const result = await attacked(
        (_exchange, response) => response,
        (exchange, command) => (exchange === at ? flipped(command, bit) : command),
      );
      const { outcome } = result;
      if (outcome.kind === 'reading') {
        expect(bit >> 3, `bit ${bit}`).toBe(original.length - 1);
        expect({ ...outcome.reading, timings: 0 }).toEqual({ ...readingOf(genuine.outcome), timings: 0 });
      } else {
        // a changed AID is another application, which the card does not have
        expect(outcome.kind, `bit ${bit}`).toBe(
          at === 1 && outcome.kind === 'unknown-card' ? 'unknown-card' : 'refused',
        );
        await expectDead(result);
      }
    }
  });

  test('cut off at any length yields no reading', async () => {
    for (let length = 0; length < original.length; length += 1) {
      const result = await attacked(
        (_exchange, response) => response,
        (exchange, command) => (exchange === at ? command.subarray(0, length) : command),
      );
      const code = codeOf(result.outcome);
      // the outer Le of a protected command is a formality; the protected one is in DO'97'
      if (at === 4 && length === original.length - 1) expect(code).toBe('reading');
      else expect(code, `length ${length}`).not.toBe('reading');
    }
  });
});

function readingOf(outcome: CardOutcome): object {
  if (outcome.kind !== 'reading') throw new Error('no reading');
  return outcome.reading;
}

describe('PIN verification under attack', () => {
  test.each([5, 6])('no flipped bit, cut or replay of exchange %i verifies', async (at) => {
    const original = genuine.responses[at - 1] ?? new Uint8Array();
    const changes: ((response: Uint8Array) => Uint8Array)[] = [
      () => genuine.responses[at - 1] ?? new Uint8Array(),
      () => Uint8Array.of(0x90, 0x00),
    ];
    for (let bit = 0; bit < original.length * 8; bit += 1) changes.push((response) => flipped(response, bit));
    for (let length = 0; length < original.length; length += 1)
      changes.push((response) => response.subarray(0, length));
    for (const change of changes) {
      const result = await attacked((exchange, response) => (exchange === at ? change(response) : response));
      const outcome = await result.open.verifyPin(pin('1234'));
      expect(outcome.kind).toBe('refused');
      await expectDead(result);
    }
  });

  test('the answer to the counter query does not pass for the answer to the PIN', async () => {
    const seen: Uint8Array[] = [];
    const result = await attacked((exchange, response) => {
      seen[exchange] = response;
      return exchange === 6 ? (seen[5] ?? response) : response;
    });
    expect(await result.open.verifyPin(pin('1234'))).toMatchObject({
      kind: 'refused',
      fault: { code: 'card-message-not-authentic' },
    });
  });
});

test.each([0x9000, 0x6282, 0x6283, 0x6300, 0x63c3])(
  'a bare %i instead of the protected read is not authentic',
  async (status) => {
    const result = await attacked((exchange, response) =>
      exchange === 4 ? Uint8Array.of(status >> 8, status & 0xff) : response,
    );
    expect(codeOf(result.outcome)).toBe('card-message-not-authentic');
    await expectDead(result);
  },
);

test.each([0x6982, 0x6a82, 0x6988, 0x6f00])(
  'a bare %i instead of the protected read ends the session',
  async (status) => {
    const result = await attacked((exchange, response) =>
      exchange === 4 ? Uint8Array.of(status >> 8, status & 0xff) : response,
    );
    expect(codeOf(result.outcome)).toBe('card-answer-status');
    await expectDead(result);
  },
);

test('the user number in the clear instead of protected is not authentic', async () => {
  const plain = concat(new TextEncoder().encode('E00012345   '), Uint8Array.of(0x90, 0x00));
  const result = await attacked((exchange, response) => (exchange === 4 ? plain : response));
  expect(codeOf(result.outcome)).toBe('card-message-not-authentic');
});

test('the protected answer without its MAC object is not authentic', async () => {
  const result = await attacked((exchange, response) =>
    exchange === 4 ? concat(response.subarray(0, -12), Uint8Array.of(0x90, 0x00)) : response,
  );
  expect(codeOf(result.outcome)).toBe('card-message-not-authentic');
});

test('our own cryptogram sent back authenticates nobody, even with our own nonce as the challenge', async () => {
  const select = genuine.responses[0] ?? new Uint8Array();
  const nonce = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  const mirror = (challenge: Uint8Array, randomBytes: (length: number) => Uint8Array) => {
    let count = 0;
    const transmit: Transmit = async (command) => {
      count += 1;
      if (count === 1) return select;
      if (count === 2) return concat(challenge, fromHex('9000'));
      return concat(command.subarray(5, 45), fromHex('9000'));
    };
    return session(transmit, { profiles: [typeA], randomBytes }).read();
  };
  const fixed = (length: number) => (length === 8 ? new Uint8Array(nonce) : new Uint8Array(length).fill(7));
  for (const challenge of [nonce, fromHex('FFEEDDCCBBAA9988')]) {
    expect(await mirror(challenge, fixed)).toMatchObject({
      kind: 'refused',
      fault: { code: 'card-authentication-failed' },
    });
  }
});

test('two sessions with their protected answers swapped yield no reading', async () => {
  const cards = [powered(deckCard('employee')), powered(deckCard('suspended'))] as const;
  const waiting: ((response: Uint8Array) => void)[] = [];
  const swapped = cards.map((card) => {
    let count = 0;
    return session(
      async (command) => {
        count += 1;
        const response = await card.transmit(command);
        if (count < 4) return response;
        return new Promise<Uint8Array>((resolve) => {
          // each gets what the other card answered
          const other = waiting.shift();
          if (other) {
            other(response);
            resolve(firstAnswer);
          } else {
            firstAnswer = response;
            waiting.push(resolve);
          }
        });
      },
      { profiles: [typeA], cardKeys: testKeys },
    ).read();
  });
  for (const outcome of await Promise.all(swapped)) {
    expect(codeOf(outcome)).toBe('card-message-not-authentic');
  }
});
let firstAnswer: Uint8Array = new Uint8Array();
