import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { concat, fromHex, toHex } from '#core/bytes/bytes.ts';
import { type ConformanceReport, checkCard } from '#core/card/conformance/check-card.ts';
import { type CardProfile, parseCardProfile } from '#core/card/profile.ts';
import { Fault } from '#core/fault.ts';
import type { CardDescription } from '#simulators/card/card-description.ts';
import { erasedWhile } from '../erased.ts';
import { answering, failed, ins, verdicts, walk } from './conformance-walk.ts';
import { deckCard, powered, typeA, typeC, typeD } from './rig.ts';

/** The report as it is read in English, one line for each check but those of the PIN. */
const lines = ({ findings }: ConformanceReport): readonly string[] =>
  findings
    .filter(({ id }) => !id.startsWith('pin-'))
    .map(({ id, verdict, detail }) => `${id} ${verdict}: ${detail.en}`);
const line = (report: ConformanceReport, id: string) => lines(report).find((it) => it.startsWith(`${id} `));

describe('the report of the deck', () => {
  test('of Type A', async () => {
    expect(lines(await walk({ wrongKeys: true }))).toEqual([
      'select-whole-aid holds: selected; the AID in the FCI is the one of the profile',
      'select-without-answer holds: selected, with no data',
      'select-fcp noted: P2 04 (FCP): 6A86 (wrong parameters), 0 bytes',
      'select-partial-aid noted: a shortened AID selects too; the terminal always sends the whole',
      'select-unknown-aid holds: refused: 6A82 (file or application not found)',
      'select-nothing noted: 9000 (success); it is never taken for a selection',
      'key-version holds: key version 1',
      'diversifier holds: 10 bytes, and the same after a reset',
      'challenge holds: 8 bytes, four different ones, across resets too',
      'authentication holds: each side has proven itself to the other, by keys of version 1',
      'authentication-wrong-keys holds: refused (6300 (authentication failed)), and the right keys still work',
      'read holds: 9 characters in the format of the profile, in the clear, with a MAC',
      'read-unauthenticated holds: it cannot be read without authentication: 6982 (security status not satisfied)',
      'read-unprotected holds: it cannot be read without protection after authentication: 6982 (security status not satisfied)',
      'read-offset holds: offset and length are followed',
      'read-past-end holds: refused: 6B00 (beyond the end of the file)',
      'read-missing-file holds: refused: 6A82 (file or application not found)',
      'protection-mac holds: refused, and the session ended: 6988 (secure messaging incorrect)',
      'protection-replay holds: the replay was refused: 6988 (secure messaging incorrect)',
      'whole-reading holds: 4 exchanges, 0.1 ms, assurance: mutual-authentication, message-authentication',
    ]);
  });

  test('of Type D, where it differs: SCP03 encrypts, and tells errors outside its protection', async () => {
    const report = await walk({ profile: typeD, card: deckCard('employee-type-d'), wrongKeys: true });
    expect(lines(report).slice(6)).toEqual([
      'key-version not-tried: it does not stand in the answer to SELECT',
      'diversifier not-tried: the profile has no diversifier',
      'challenge not-tried: SCP03 carries its challenge in the authentication',
      'authentication holds: each side has proven itself to the other, by keys of version 1',
      'authentication-wrong-keys holds: refused (6300 (authentication failed)), and the right keys still work',
      'read holds: 9 characters in the format of the profile, encrypted',
      'read-unauthenticated holds: it cannot be read without authentication: 6982 (security status not satisfied)',
      'read-unprotected holds: it cannot be read without protection after authentication: 6982 (security status not satisfied)',
      'read-offset holds: offset and length are followed',
      'read-past-end holds: an error outside protection, which ends the session (the card ended the secure channel with status 6B00 (beyond the end of the file))',
      'read-missing-file holds: an error outside protection, which ends the session (the card ended the secure channel with status 6A82 (file or application not found))',
      'protection-mac holds: refused, and the session ended: 6982 (security status not satisfied)',
      'protection-replay holds: the replay was refused: 6982 (security status not satisfied)',
      'whole-reading holds: 4 exchanges, 0.1 ms, assurance: mutual-authentication, message-authentication, encryption',
    ]);
  });

  test('of Type C, with keys or without: it needs none', async () => {
    const report = await walk({ profile: typeC });
    expect(lines(await walk({ profile: typeC, keys: 'none' }))).toEqual(lines(report));
    expect(lines(report).slice(6)).toEqual([
      'key-version not-tried: it does not stand in the answer to SELECT',
      'diversifier not-tried: the profile has no diversifier',
      'challenge not-tried: the profile has no authentication',
      'authentication not-tried: the profile has no authentication',
      'authentication-wrong-keys not-tried: the profile has no authentication',
      'read holds: 9 characters in the format of the profile, in the clear',
      'read-unauthenticated not-tried: the profile has no authentication',
      'read-unprotected not-tried: the profile has no authentication',
      'read-offset holds: offset and length are followed',
      'read-past-end holds: refused: 6B00 (beyond the end of the file)',
      'read-missing-file holds: refused: 6A82 (file or application not found)',
      'protection-mac not-tried: the profile has no authentication',
      'protection-replay not-tried: the profile has no authentication',
      'whole-reading holds: 2 exchanges, 0.1 ms, assurance: none',
    ]);
  });

  test('says why something was not tried', async () => {
    const report = await walk({ keys: 'none' });
    for (const id of ['authentication', 'authentication-wrong-keys', 'read', 'whole-reading'])
      expect(line(report, id)).toBe(`${id} not-tried: no keys were given (--keys)`);
    expect(line(await walk(), 'authentication-wrong-keys')).toBe(
      'authentication-wrong-keys not-tried: some cards count failures and lock for good; tried with --wrong-keys alone',
    );
  });
});

describe('in Japanese too', () => {
  const ja = ({ findings }: ConformanceReport, id: string) =>
    findings.find((one) => one.id === id)?.detail.ja;

  test('how the user number is read, and without what it cannot be', async () => {
    const report = await walk();
    const refused = '6982（セキュリティ条件を満たしていない）';
    expect(ja(report, 'read')).toBe('9文字。形式はプロファイルのとおり。平文とMAC');
    expect(ja(report, 'read-unauthenticated')).toBe(`認証なしでは読めない: ${refused}`);
    expect(ja(report, 'read-unprotected')).toBe(`認証後に保護なしでは読めない: ${refused}`);
    const typeDWalk = await walk({ profile: typeD, card: deckCard('employee-type-d') });
    expect(ja(typeDWalk, 'read')).toBe('9文字。形式はプロファイルのとおり。暗号化');
    expect(ja(await walk({ profile: typeC }), 'read')).toBe('9文字。形式はプロファイルのとおり。平文');
  });

  test('the whole reading is told with its exchanges, its time and its assurance', async () => {
    expect(ja(await walk(), 'whole-reading')).toBe('4回の交換、0.1 ms、認証強度: 相互認証、メッセージ認証');
    const typeDWalk = await walk({ profile: typeD, card: deckCard('employee-type-d') });
    expect(ja(typeDWalk, 'whole-reading')).toBe(
      '4回の交換、0.1 ms、認証強度: 相互認証、メッセージ認証、暗号化',
    );
    expect(ja(await walk({ profile: typeC }), 'whole-reading')).toBe('2回の交換、0.1 ms、認証強度: なし');
  });

  test.each([
    ['card-removed', 'removed', 'カードが離れた'],
    ['card-timeout', 'timeout', '応答がない'],
    ['reading-too-slow', 'too-slow', '制限時間を超えた'],
  ] as const)('and so is one that ended by %s', async (code, en, japanese) => {
    const report = await walk({
      profile: typeC,
      answer: (command, card, before) =>
        before?.startsWith('pin-') && command[1] === 0xb0
          ? Promise.reject(new Fault(code, 'ended'))
          : card(command),
    });
    expect(line(report, 'whole-reading')).toBe(`whole-reading fails: no reading: ${en}`);
    expect(ja(report, 'whole-reading')).toBe(`読み取れない: ${japanese}`);
    expect(failed(report)).toEqual(['whole-reading']);
  });

  test('a refusal is told with the status word that the card gave, and any other fault without one', async () => {
    const absent = await walk({ card: deckCard('no-card-application') });
    expect(ja(absent, 'read')).toMatch(
      /^card-answer-status: .*: 6A82（ファイルまたはアプリケーションがない）$/,
    );
    expect(ja(absent, 'whole-reading')).toBe('読み取れない: カードAPがない');
    const late = await walk({
      profile: typeC,
      answer: (command, card) =>
        command[1] === 0xb0 ? Promise.reject(new Fault('card-timeout', 'no answer')) : card(command),
    });
    expect(ja(late, 'read')).toMatch(/^card-timeout: [^:]+$/);
    const silent = await walk({ profile: typeC, answer: answering(ins(0xb0), () => '90') });
    expect(line(silent, 'read')).toBe(
      'read fails: card-answer-malformed: the card answered 1 bytes, which is no response APDU',
    );
    expect(ja(silent, 'read')).toMatch(/^card-answer-malformed: [^:]+$/);
  });
});

test('times are of the walk, by kind of command: how many, the shortest, the middle one and the longest', async () => {
  const card = powered(deckCard('employee'));
  const reads: number[] = [];
  let now = 0;
  const { timings } = await checkCard({
    card: {
      transmit: (command) => {
        const tookUs = (now * 7) % 1000;
        now += tookUs + 1;
        if (command[1] === 0xb0) reads.push(tookUs + 1);
        return card.transmit(command);
      },
      reset: async () => card.reset(),
    },
    profile: typeC,
    wrongKeys: false,
    randomBytes,
    monotonicUs: () => now,
  });
  // the last one is of the whole reading, which is timed by itself
  const sorted = reads.slice(0, -1).toSorted((a, b) => a - b);
  expect(timings.find(({ command }) => command === 'read-binary')).toEqual({
    command: 'read-binary',
    count: 5,
    minimumUs: sorted[0],
    medianUs: sorted[2],
    maximumUs: sorted[4],
  });
  expect(timings.map(({ command }) => command)).toEqual(['select-application', 'select-file', 'read-binary']);
});

/** The Type C card of the library, whose file holds this, and a profile that reads it so. */
function filed(
  file: object,
  userNumber: object,
  content: object,
): { card: CardDescription; profile: CardProfile } {
  const card = structuredClone(deckCard('library'));
  for (const application of card.cardApplications)
    application.files = [{ shortFileId: 1, fileId: '0001', read: 'always', ...content }];
  const profile = parseCardProfile(
    { ...typeC, userNumber: { ...typeC.userNumber, file, ...userNumber } },
    'test',
  );
  return { card, profile };
}

describe('the file is probed where the profile says that it lies', () => {
  const number = 'L00067890   ';

  test.each([
    [
      'by file identifier',
      { fileId: '0001' },
      0,
      ['00A4020C020001', '00B0000002', '00B0000101', '00B07FFF01'],
    ],
    ['by file identifier, far into it', { fileId: '0001' }, 301, ['00B0012C02', '00B0012D01', '00B07FFF01']],
    ['by short identifier', { shortFileId: 1 }, 7, ['00B0810602', '00B0810701', '00B081FF01']],
    ['by short identifier, to its last place', { shortFileId: 1 }, 255, ['00B081FE02', '00B081FF01']],
  ])('%s', async (_name, file, offset, probes) => {
    const padded = { content: { text: `${'-'.repeat(offset)}${number}` } };
    const report = await walk(filed(file, { offset }, padded));
    expect(report.sent).toEqual(expect.arrayContaining(probes));
    expect(line(report, 'read-offset')).toContain('holds');
    expect(line(report, 'read')).toContain('holds');
  });

  test('a record, and one whose number nobody uses', async () => {
    const report = await walk(filed({ shortFileId: 1, record: 1 }, {}, { records: [{ text: number }] }));
    expect(report.sent).toEqual(expect.arrayContaining(['00B2010C00', '00B2FE0C00']));
    expect(line(report, 'read-offset')).toBe('read-offset not-tried: it is a record file');
    expect(line(report, 'read-past-end')).toContain('holds');
  });

  test('file 30 may be there, where the profile names it', async () => {
    const given = filed({ shortFileId: 30 }, {}, { shortFileId: 30, content: { text: number } });
    expect(line(await walk(given), 'read-missing-file')).toBe('read-missing-file not-tried: it is file 30');
  });
});

test('a card AP that is selected without an answer is asked for none', async () => {
  const profile = parseCardProfile(
    { ...typeC, application: { ...typeC.application, answer: 'none' } },
    'test',
  );
  const report = await walk({ profile });
  expect(failed(report)).toEqual([]);
  expect(line(report, 'select-whole-aid')).toBe('select-whole-aid holds: selected; no FCI was asked for');
  expect(report.sent).toContain('00A4040C0AF04B415A415355010CFE');
});

test('what was read of a user number is zeroed', async () => {
  const [first, second] = ['4C30', '30'];
  const probed = await erasedWhile(() => walk({ profile: typeC }));
  expect(probed).toEqual(expect.arrayContaining([first, second]));
  const card = structuredClone(deckCard('employee'));
  for (const file of card.cardApplications[0]?.files ?? []) file.read = 'always';
  const open = await erasedWhile(() => walk({ card, keys: 'none' }));
  expect(open).toContain('4530');
});

test('a card without the card AP has nothing to walk through', async () => {
  const report = await walk({ card: deckCard('no-card-application') });
  const missing = 'card-answer-status: the card does not have the card AP of the profile';
  for (const id of ['select-whole-aid', 'key-version', 'diversifier', 'authentication', 'read'])
    expect(line(report, id)).toBe(`${id} fails: ${missing}`);
  expect(line(report, 'whole-reading')).toBe('whole-reading fails: no reading: unknown-card');
});

describe('what a wrong card does is told', () => {
  const authenticate = ins(0x82);

  test('challenges: none, or the same again, after a reset too', async () => {
    const none = await walk({ answer: answering(ins(0x84), () => '6D00') });
    expect(line(none, 'challenge')).toBe(
      'challenge fails: it gives no challenge of 8 bytes: 6D00 (instruction not supported)',
    );
    const marked = await walk({ answer: answering(ins(0x84), (answer) => answer.fill(0x63, -2, -1)) });
    expect(line(marked, 'challenge')).toContain('it gives no challenge of 8 bytes: 6300');
    expect(failed(none)).toContain('challenge');
    const long = await walk({
      answer: answering(ins(0x84), (answer) => concat(answer.subarray(0, 8), answer)),
    });
    expect(line(long, 'challenge')).toContain('it gives no challenge of 8 bytes: 9000');
    // four challenges, of which the last is the first one again
    const given: Uint8Array[] = [];
    const repeating = await walk({
      answer: answering(ins(0x84), (answer) => {
        given.push(answer);
        return given.length === 4 ? (given[0] ?? answer) : answer;
      }),
    });
    expect(line(repeating, 'challenge')).toBe(
      'challenge fails: it gave the same challenge twice: replays would pass',
    );
  });

  test('a diversifier that changes, and a key version that the profile does not list', async () => {
    const profile = parseCardProfile({ ...typeA, keys: { ...typeA.keys, versions: [2] } }, 'test');
    expect(line(await walk({ profile }), 'key-version')).toBe(
      'key-version fails: key version 1 is not listed in the profile',
    );
    const changing = await walk({
      answer: answering(ins(0xa4), (answer) => {
        const place = toHex(answer).indexOf('C10A') / 2;
        if (place > 0) answer.set(randomBytes(10), place + 2);
        return answer;
      }),
    });
    expect(line(changing, 'diversifier')).toBe(
      'diversifier fails: it changes from one selection to the next: no keys can be derived from it',
    );
  });

  test('an unknown AID that is selected, or refused in a way that says nothing', async () => {
    const unknown = (command: Uint8Array) => toHex(command) === '00A404000AF04B415A415355010AFE00';
    const selected = await walk({ answer: answering(unknown, () => '9000') });
    expect(line(selected, 'select-unknown-aid')).toContain('fails: 9000 to an AID that nobody has');
    const strange = await walk({ answer: answering(unknown, () => '6F00') });
    expect(line(strange, 'select-unknown-aid')).toContain(' does not read as "no such card AP"');
  });

  test('wrong keys: accepted outright, by a bare 9000, or with no answer at all', async () => {
    const wrong = (answer: string | (() => never)) =>
      walk({
        wrongKeys: true,
        answer: async (command, card, before) => {
          const given = await card(command);
          if (!authenticate(command) || before !== 'authentication' || given.length > 2) return given;
          return typeof answer === 'string' ? fromHex(answer) : answer();
        },
      });
    const accepted = 'authentication-wrong-keys fails: it accepted wrong keys';
    expect(line(await wrong('9000'), 'authentication-wrong-keys')).toContain('fails');
    expect(line(await wrong(`${'00'.repeat(40)}9000`), 'authentication-wrong-keys')).toBe(accepted);
    const late = () => {
      throw new Fault('card-timeout', 'no answer');
    };
    expect(line(await wrong(late), 'authentication-wrong-keys')).toBe(
      'authentication-wrong-keys fails: card-timeout: no answer',
    );
    expect(line(await wrong('90'), 'authentication-wrong-keys')).toContain('fails: card-answer-malformed');
    expect(verdicts(await wrong('6300'))['authentication-wrong-keys']).toBe('holds');
  });

  test('a session that goes on behind a wrong MAC is noted; one in which nothing can be read tells nothing', async () => {
    let refusals = 0;
    const lenient = await walk({
      answer: async (command, card, before) => {
        const isWrong = command[0] === 0x0c && before === 'read-missing-file' && refusals === 0;
        if (!isWrong) return card(command);
        refusals += 1;
        return fromHex('6988');
      },
    });
    expect(line(lenient, 'protection-mac')).toBe(
      'protection-mac noted: refused (6988 (secure messaging incorrect)), but the session goes on after it',
    );
    const mute = await walk({
      answer: async (command, card, before) =>
        command[0] === 0x0c && before === 'protection-mac' ? fromHex('6982') : card(command),
    });
    expect(line(mute, 'protection-replay')).toBe(
      'protection-replay fails: even the first read was refused: 6982 (security status not satisfied)',
    );
    const credulous = await walk({
      answer: answering(
        (command) => command[0] === 0x0c,
        (answer) => (answer.length === 2 ? '9000' : answer),
      ),
    });
    expect(line(credulous, 'protection-mac')).toBe(
      'protection-mac fails: it took a command with a wrong MAC',
    );
    expect(line(credulous, 'protection-replay')).toBe(
      'protection-replay fails: it took the same command again',
    );
  });

  test('a user number that anybody can read', async () => {
    const card = structuredClone(deckCard('employee'));
    for (const file of card.cardApplications[0]?.files ?? []) file.read = 'always';
    const report = await walk({ card });
    expect(line(report, 'read-unauthenticated')).toBe(
      'read-unauthenticated fails: it can be read without authentication',
    );
    expect(line(report, 'read-unprotected')).toBe(
      'read-unprotected fails: it can be read without protection after authentication',
    );
    // a success that gives nothing gives nothing away
    const empty = await walk({
      answer: answering(
        (command) => command[0] === 0 && command[1] === 0xb0,
        () => '9000',
      ),
    });
    expect(line(empty, 'read-unauthenticated')).toContain('holds');
  });

  test('offset and length that are not followed: another byte, or more than one', async () => {
    const second = (command: Uint8Array) => toHex(command) === '00B0810101';
    for (const answer of ['589000', '30309000', '6B00']) {
      const report = await walk({ profile: typeC, answer: answering(second, () => answer) });
      expect(line(report, 'read-offset')).toMatch(/^read-offset fails: offset and length are not followed: /);
    }
  });

  test('an end of the file that is passed in silence', async () => {
    const past = (command: Uint8Array) => command[1] === 0xb0 && command[3] === 0xff;
    const silent = await walk({ profile: typeC, answer: answering(past, () => '9000') });
    expect(line(silent, 'read-past-end')).toBe('read-past-end holds: refused: 9000 (success)');
    const more = await walk({ profile: typeC, answer: answering(past, () => '416282') });
    expect(line(more, 'read-past-end')).toBe('read-past-end noted: there is data there too');
  });
});

test('the card is reset before each check, and between the challenges and selections that must not repeat', async () => {
  const card = powered(deckCard('employee'));
  const steps: string[] = [];
  await checkCard(
    {
      card: {
        transmit: (command) => {
          if (command[1] === 0x84 || toHex(command) === '00A404000AF04B415A415355010A0100')
            steps.push(toHex(command.subarray(0, 2)));
          return card.transmit(command);
        },
        reset: async () => {
          steps.push('reset');
          card.reset();
        },
      },
      profile: typeA,
      wrongKeys: false,
      randomBytes,
      monotonicUs: () => 0,
    },
    ({ id }) => steps.push(id),
  );
  const during = (id: string, before: string) => steps.slice(steps.indexOf(before) + 1, steps.indexOf(id));
  expect(during('diversifier', 'key-version')).toEqual(['reset', '00A4', 'reset', '00A4']);
  const [select, challenge] = ['00A4', '0084'];
  expect(during('challenge', 'diversifier')).toEqual([
    ...['reset', select, challenge],
    ...['reset', select, challenge],
    ...[select, challenge],
    ...['reset', select, challenge],
  ]);
});

test('a fault of the reader, and a bug, end the walk', async () => {
  const reader = walk({ answer: () => Promise.reject(new Fault('reader-failed', 'unplugged')) });
  await expect(reader).rejects.toThrow('unplugged');
  const bug = walk({ answer: () => Promise.reject(new TypeError('a bug')) });
  await expect(bug).rejects.toThrow('a bug');
});
