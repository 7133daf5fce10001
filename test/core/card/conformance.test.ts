import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { parseCommand } from '#core/apdu/command.ts';
import { fromHex, toHex } from '#core/bytes/bytes.ts';
import type { SecureChannel } from '#core/card/channel/secure-channel.ts';
import { CardBench } from '#core/card/conformance/bench.ts';
import { type ConformanceReport, checkCard } from '#core/card/conformance/check-card.ts';
import { parseCardProfile } from '#core/card/profile.ts';
import { Fault } from '#core/fault.ts';
import { answering, failed, ins, verdicts, type Walk, walk } from './conformance-walk.ts';
import { deckCard, powered, session, testKeys, typeA, typeC, typeD } from './rig.ts';

test('the Type A card of the deck conforms, and nothing that its profile has is left out but wrong keys', async () => {
  const report = await walk();
  expect(verdicts(report)).toEqual({
    'select-whole-aid': 'holds',
    'select-without-answer': 'holds',
    'select-fcp': 'noted',
    'select-partial-aid': 'noted',
    'select-unknown-aid': 'holds',
    'select-nothing': 'noted',
    'key-version': 'holds',
    diversifier: 'holds',
    challenge: 'holds',
    authentication: 'holds',
    'authentication-wrong-keys': 'not-tried',
    read: 'holds',
    'read-unauthenticated': 'holds',
    'read-unprotected': 'holds',
    'read-offset': 'holds',
    'read-past-end': 'holds',
    'read-missing-file': 'holds',
    'protection-mac': 'holds',
    'protection-replay': 'holds',
    'pin-counter': 'holds',
    'pin-counter-unprotected': 'noted',
    'pin-format': 'not-tried',
    'whole-reading': 'holds',
  });
  expect(report.conforms).toBe(true);
  expect(report.told).toEqual(report.findings);
});

test('a Type C card conforms; what it does not have is not tried', async () => {
  const report = await walk({ profile: typeC });
  expect(report.conforms).toBe(true);
  expect(verdicts(report)).toMatchObject({
    'key-version': 'not-tried',
    challenge: 'not-tried',
    authentication: 'not-tried',
    read: 'holds',
    'read-unauthenticated': 'not-tried',
    'read-offset': 'holds',
    'protection-mac': 'not-tried',
    'pin-counter': 'not-tried',
    'whole-reading': 'holds',
  });
});

test('without keys nothing behind the authentication is tried, and nothing fails', async () => {
  const report = await walk({ keys: 'none' });
  expect(failed(report)).toEqual([]);
  for (const id of ['authentication', 'read', 'pin-counter', 'protection-mac', 'whole-reading'])
    expect(verdicts(report)[id]).toBe('not-tried');
  expect(verdicts(report)).toMatchObject({ 'read-unauthenticated': 'holds', challenge: 'holds' });
});

test('a record file is walked as one', async () => {
  const card = structuredClone(deckCard('library'));
  for (const file of card.cardApplications[0]?.files ?? []) {
    file.records = [{ text: 'L00067890   ' }];
    delete file.content;
  }
  const userNumber = { ...typeC.userNumber, file: { shortFileId: 1, record: 1 } };
  const report = await walk({ profile: parseCardProfile({ ...typeC, userNumber }, 'test'), card });
  expect(failed(report)).toEqual([]);
  expect(verdicts(report)).toMatchObject({
    read: 'holds',
    'read-offset': 'not-tried',
    'read-past-end': 'holds',
  });
});

describe('the card comes to no harm', () => {
  test('no command carries a PIN or changes anything, whatever the card answers', async () => {
    for (const answer of [
      undefined,
      answering(ins(0x20), () => '6300'),
      answering(ins(0xb0), () => '6982'),
    ]) {
      const { sent } = await walk({ wrongKeys: true, ...(answer && { answer }) });
      for (const text of sent) {
        const command = parseCommand(fromHex(text));
        expect([0xa4, 0x84, 0x82, 0xb0, 0xb2, 0xc0, 0x20]).toContain(command?.ins);
        if (command?.ins !== 0x20) continue;
        // protected: a MAC alone; in the clear: nothing
        expect(command.data ? toHex(command.data.subarray(0, 2)) : '').toMatch(/^(8E08)?$/);
      }
    }
  });

  test('the PIN has as many tries left as before, and still opens', async () => {
    const card = powered(deckCard('employee'));
    const parts = { card: { transmit: card.transmit, reset: async () => card.reset() }, wrongKeys: true };
    await checkCard({ ...parts, profile: typeA, cardKeys: testKeys, randomBytes, monotonicUs: () => 0 });
    card.reset();
    const open = session(card.transmit, { profiles: [typeA] });
    await open.read();
    const wrong = await open.verifyPin(new TextEncoder().encode('0000'));
    expect(wrong).toEqual({ kind: 'wrong', triesLeft: 2 });
  });

  test('wrong keys are shown once, and only where that was asked for', async () => {
    const authentications = async (wrongKeys: boolean) => {
      let refused = 0;
      await walk({
        wrongKeys,
        answer: answering(ins(0x82), (answer) => {
          if (answer.length === 2) refused += 1;
          return answer;
        }),
      });
      return refused;
    };
    expect(await authentications(false)).toBe(0);
    expect(await authentications(true)).toBe(1);
    expect(verdicts(await walk({ wrongKeys: true }))['authentication-wrong-keys']).toBe('holds');
  });
});

const wrongCards: readonly (readonly [string, Walk, readonly string[]])[] = [
  [
    'selects whatever is asked for',
    {
      answer: answering(
        (command) => toHex(command).startsWith('00A404') && command.length > 8 && command[14] !== 0x01,
        () => '9000',
      ),
    },
    ['select-unknown-aid'],
  ],
  [
    'answers 6F00 to an application it does not have',
    { answer: answering(ins(0xa4), (answer) => (toHex(answer) === '6A82' ? '6F00' : answer)) },
    ['select-unknown-aid'],
  ],
  [
    'has keys of a version that the profile does not list',
    { profile: parseCardProfile({ ...typeA, keys: { ...typeA.keys, versions: [2] } }, 'test') },
    ['key-version', 'authentication', 'read', 'whole-reading'],
  ],
  [
    'has a diversifier that changes',
    {
      answer: answering(ins(0xa4), (answer) => {
        const place = toHex(answer).indexOf('C10A') / 2;
        if (place > 0) answer.set(randomBytes(10), place + 2);
        return answer;
      }),
    },
    ['diversifier', 'authentication', 'read', 'whole-reading'],
  ],
  [
    'gives the same challenge again',
    { answer: answering(ins(0x84), () => '11223344556677889000') },
    ['challenge'],
  ],
  [
    'gives a challenge of four bytes',
    { answer: answering(ins(0x84), () => '112233449000') },
    ['challenge', 'authentication'],
  ],
  ['has other keys', { card: deckCard('forged') }, ['authentication', 'read', 'whole-reading']],
  [
    'says that wrong keys are right',
    {
      wrongKeys: true,
      answer: answering(
        (command) => command[1] === 0x82,
        (answer) => (answer.length === 2 ? `${'00'.repeat(40)}9000` : answer),
      ),
    },
    ['authentication-wrong-keys'],
  ],
  [
    'locks its keys after a wrong authentication',
    {
      wrongKeys: true,
      answer: (() => {
        let locked = false;
        return answering(
          (command) => command[1] === 0x82,
          (answer) => {
            locked ||= answer.length === 2;
            return locked ? '6983' : answer;
          },
        );
      })(),
    },
    ['authentication-wrong-keys', 'read', 'whole-reading'],
  ],
  [
    'lets anybody read the user number',
    {
      card: (() => {
        const card = structuredClone(deckCard('employee'));
        for (const file of card.cardApplications[0]?.files ?? []) file.read = 'always';
        return card;
      })(),
    },
    ['read-unauthenticated', 'read-unprotected'],
  ],
  [
    'does not tell the tries left',
    {
      answer: answering(
        (command) => command[1] === 0x20,
        () => '6300',
      ),
    },
    ['pin-counter'],
  ],
  [
    'holds a user number of another format',
    {
      card: (() => {
        const card = structuredClone(deckCard('employee'));
        for (const file of card.cardApplications[0]?.files ?? []) file.content = { text: 'not a number' };
        return card;
      })(),
    },
    ['read', 'whole-reading'],
  ],
  [
    'answers 9000 to a file that is not there',
    {
      profile: typeC,
      answer: answering(
        (command) => command[1] === 0xb0 && command[2] === 0x9e,
        () => '009000',
      ),
    },
    ['read-missing-file'],
  ],
  [
    'ignores offset and length',
    {
      profile: typeC,
      answer: async (command, card) => (command[1] === 0xb0 ? card(fromHex('00B081000C')) : card(command)),
    },
    ['read-offset', 'read-missing-file'],
  ],
  [
    'takes commands with a wrong MAC, and again',
    {
      answer: answering(
        (command) => command[0] === 0x0c,
        (answer) => (answer.length === 2 ? '990290008E0811223344556677889000' : answer),
      ),
    },
    ['protection-mac', 'protection-replay'],
  ],
];

test.each(wrongCards)('a card that %s', async (_name, options, expected) => {
  const report = await walk(options);
  expect(failed(report)).toEqual(expect.arrayContaining([...expected]));
  expect(report.conforms).toBe(false);
  // no detail shows what must not be shown
  expect(JSON.stringify(report)).not.toMatch(/E00012345|L00012345|4B415A41535500000001/);
});

test('a time-out is a finding, a card taken away ends the walk', async () => {
  const late = await walk({
    profile: typeC,
    answer: (command, card) =>
      command[1] === 0xb0 ? Promise.reject(new Fault('card-timeout', 'no answer')) : card(command),
  });
  expect(late.findings.find(({ id }) => id === 'read')).toMatchObject({
    verdict: 'fails',
    detail: { en: 'card-timeout: no answer' },
  });
  const gone = walk({ answer: () => Promise.reject(new Fault('card-removed', 'gone')) });
  await expect(gone).rejects.toThrow('gone');
});

test('every kind of command is timed', async () => {
  const { timings } = await walk();
  expect(timings.map(({ command }) => command)).toEqual(
    expect.arrayContaining([
      'select-application',
      'get-challenge',
      'authenticate',
      'read-binary, protected',
      'verify, protected',
    ]),
  );
  for (const { count, minimumUs, medianUs, maximumUs } of timings) {
    expect(count).toBeGreaterThan(0);
    expect(minimumUs).toBeLessThanOrEqual(medianUs);
    expect(medianUs).toBeLessThanOrEqual(maximumUs);
  }
});

describe('what is worth knowing is noted', () => {
  const detail = (report: ConformanceReport, id: string) => report.findings.find((one) => one.id === id);
  const select = (place: number, value: number) => (command: Uint8Array) =>
    command[1] === 0xa4 && command[place] === value;

  test('P2 0C that does not select, and one that is answered with data', async () => {
    const refused = await walk({ profile: typeC, answer: answering(select(3, 0x0c), () => '6A86') });
    expect(detail(refused, 'select-without-answer')).toMatchObject({ verdict: 'noted' });
    const talkative = await walk({ profile: typeC, answer: answering(select(3, 0x0c), () => '6F009000') });
    expect(detail(talkative, 'select-without-answer')?.detail.en).toContain('2 bytes nobody asked for');
  });

  test('a shortened AID that selects nothing, another application, or what is no data object', async () => {
    const short = select(4, 9);
    const nothing = await walk({ profile: typeC, answer: answering(short, () => '6A82') });
    expect(detail(nothing, 'select-partial-aid')?.detail.ja).toContain(
      '短縮したAIDでは選択されない: 6A82（ファイルまたはアプリケーションがない）',
    );
    const other = await walk({ profile: typeC, answer: answering(short, () => '6F0484020102' + '9000') });
    expect(detail(other, 'select-partial-aid')?.detail.en).toContain('another application (0102)');
    const garbage = await walk({ profile: typeC, answer: answering(short, () => 'FFFF9000') });
    expect(detail(garbage, 'select-partial-aid')).toMatchObject({ verdict: 'noted' });
  });

  test('a blocked PIN, one with few tries left, and one that asking spends', async () => {
    const blocked = await walk({ card: deckCard('blocked-pin') });
    expect(detail(blocked, 'pin-counter')).toMatchObject({
      verdict: 'noted',
      detail: { en: 'the PIN is blocked' },
    });
    const card = structuredClone(deckCard('employee'));
    for (const pin of card.cardApplications[0]?.pins ?? []) pin.triesLeft = 1;
    const few = await walk({ card });
    expect(detail(few, 'pin-counter')?.detail.en).toContain('1 left, fewer than the 2');
    expect(few.conforms).toBe(true);
  });

  test.each(['6983', '6984'])(
    'a blocked PIN that the card tells outside the protection: %s',
    async (status) => {
      const question = (command: Uint8Array) => command[0] === 0x0c && command[1] === 0x20;
      const report = await walk({ answer: answering(question, () => status) });
      expect(detail(report, 'pin-counter')).toMatchObject({
        verdict: 'noted',
        detail: { en: 'the PIN is blocked' },
      });
      expect(report.conforms).toBe(true);
    },
  );

  test('a file that goes on where it should have ended', async () => {
    const past = (command: Uint8Array) => command[1] === 0xb0 && command[3] === 0xff;
    const report = await walk({ profile: typeC, answer: answering(past, () => '419000') });
    expect(detail(report, 'read-past-end')).toMatchObject({ verdict: 'noted' });
  });
});

test('a Type D card is walked by SCP03, and one that takes replays or wrong MACs fails', async () => {
  const options = { profile: typeD, card: deckCard('employee-type-d') };
  const report = await walk({ ...options, wrongKeys: true });
  expect(failed(report)).toEqual([]);
  expect(verdicts(report)).toMatchObject({
    'key-version': 'not-tried',
    challenge: 'not-tried',
    authentication: 'holds',
    'authentication-wrong-keys': 'holds',
    read: 'holds',
    'protection-mac': 'holds',
    'protection-replay': 'holds',
  });
  const credulous = await walk({
    ...options,
    answer: answering(
      (command) => command[0] === 0x04,
      (answer) => (answer.length === 2 ? '9000' : answer),
    ),
  });
  expect(failed(credulous)).toEqual(expect.arrayContaining(['protection-mac', 'protection-replay']));
});

test('the bench refuses what could harm a card, whatever check asks for it', async () => {
  const bench = new CardBench({
    card: { transmit: () => Promise.reject(new Error('nothing may be sent')), reset: async () => undefined },
    profile: typeA,
    wrongKeys: false,
    randomBytes,
    monotonicUs: () => 0,
  });
  const channel: SecureChannel = {
    wrap: () => {
      throw new Error('nothing may be wrapped');
    },
    unwrap: () => {
      throw new Error('nothing was sent');
    },
    close: () => undefined,
  };
  const pin = { cla: 0, ins: 0x20, p1: 0, p2: 0x81, data: new Uint8Array(4) };
  for (const command of [pin, { ...pin, ins: 0x24 }, { ...pin, ins: 0xd6 }, { ...pin, ins: 0xe4 }]) {
    const refused = 'spends a PIN try or changes the card';
    await expect(bench.plain(command)).rejects.toThrow(refused);
    await expect(bench.inside(channel, command)).rejects.toThrow(refused);
    await expect(bench.twice(channel, command, (apdu) => apdu)).rejects.toThrow(refused);
  }
  await expect(bench.open()).rejects.toThrow('no keys to open it');
});
