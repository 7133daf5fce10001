import { describe, expect, test } from 'vitest';
import { concat, fromHex, toHex } from '#core/bytes/bytes.ts';
import { buildTlv } from '#core/bytes/tlv.ts';
import type { CardKeyRequest, CardKeys } from '#core/card/keys.ts';
import { parseCardProfile } from '#core/card/profile.ts';
import { Fault } from '#core/fault.ts';
import { cardDescriptionSchema } from '#simulators/card/card-description.ts';
import { erasedBy } from '../erased.ts';
import {
  deckCard,
  mutualChannelOf,
  pin,
  powered,
  readYaml,
  scripted,
  session,
  testKeys,
  typeA,
  typeC,
  typeD,
  withMutualKeys,
} from './rig.ts';

const fciOf = (aid: string, ...extra: Uint8Array[]) =>
  toHex(buildTlv(0x6f, concat(buildTlv(0x84, fromHex(aid)), ...extra)));
const typeCFci = `${fciOf(typeC.application.aid)}9000`;
const text = (value: string) => toHex(new TextEncoder().encode(value));

test('a Type A card is read in four exchanges, authentic and without encryption', async () => {
  const card = powered(deckCard('employee'));
  const commands: string[] = [];
  const reading = await session(async (command) => {
    commands.push(toHex(command.subarray(0, 4)));
    return card.transmit(command);
  }).read();
  expect(reading).toEqual({
    kind: 'reading',
    reading: {
      organization: 'kazasu-city',
      profileId: 'synthetic-type-a',
      method: 'type-a',
      userNumber: 'E00012345',
      assurance: ['mutual-authentication', 'message-authentication'],
      keyVersion: 1,
      diversifier: '4B415A41535500000001',
      timings: {
        connectUs: 5,
        selectUs: 3,
        authenticateUs: 5,
        authenticateCardUs: 2,
        readUs: 3,
        exchanges: 4,
      },
    },
  });
  expect(commands).toEqual(['00A40400', '00840000', '00820000', '0CB08100']);
});

test('what the card says of itself is told while it authenticates, and of a card without a diversifier nothing', async () => {
  const told: string[] = [];
  const card = powered(deckCard('employee'));
  const transmit = async (command: Uint8Array) => {
    const answer = await card.transmit(command);
    told.push(toHex(command.subarray(1, 2)));
    return answer;
  };
  const claimed = (claim: object) => told.push(JSON.stringify(claim));
  await session(transmit, { claimed }).read();
  expect(told).toEqual([
    'A4',
    '84',
    '{"organization":"kazasu-city","profileId":"synthetic-type-a","diversifier":"4B415A41535500000001"}',
    '82',
    'B0',
  ]);
  told.length = 0;
  await session(powered(deckCard('library')).transmit, { claimed }).read();
  expect(told).toEqual([]);
});

test('a Type C card is read in two exchanges, with no assurance at all', async () => {
  const outcome = await session(powered(deckCard('library')).transmit, { profiles: [typeC] }).read();
  expect(outcome).toMatchObject({
    kind: 'reading',
    reading: {
      method: 'type-c',
      userNumber: 'L00067890',
      assurance: [],
      timings: { authenticateUs: 0, exchanges: 2 },
    },
  });
});

test('a Type D card is read in four exchanges, encrypted, and names key version and diversifier itself', async () => {
  const card = powered(deckCard('employee-type-d'));
  const commands: string[] = [];
  const requests: CardKeyRequest[] = [];
  const outcome = await session(
    async (command) => {
      commands.push(toHex(command.subarray(0, 4)));
      return card.transmit(command);
    },
    {
      profiles: [typeD],
      cardKeys: (request) => {
        requests.push(request);
        return testKeys(request);
      },
    },
  ).read();
  expect(outcome).toEqual({
    kind: 'reading',
    reading: {
      organization: 'kazasu-city',
      profileId: 'synthetic-type-d',
      method: 'type-d',
      userNumber: 'E00089012',
      assurance: ['mutual-authentication', 'message-authentication', 'encryption'],
      keyVersion: 1,
      diversifier: '4B415A41535500000008',
      timings: {
        connectUs: 5,
        selectUs: 3,
        authenticateUs: 5,
        authenticateCardUs: 2,
        readUs: 3,
        exchanges: 4,
      },
    },
  });
  expect(commands).toEqual(['00A40400', '80500000', '84823300', '04B08100']);
  expect(requests).toEqual([
    {
      profileId: 'synthetic-type-d',
      keyVersion: 1,
      diversification: 'kdf3',
      diversifier: fromHex('4B415A41535500000008'),
    },
  ]);
});

test('profiles are tried in order of preference, and only the first that fits is read', async () => {
  const card = deckCard('employee');
  const first = await session(powered(card).transmit, { profiles: [typeC, typeA] }).read();
  const second = await session(powered(card).transmit, { profiles: [typeA, typeC] }).read();
  expect(first).toMatchObject({ reading: { method: 'type-c', userNumber: 'L00012345' } });
  expect(second).toMatchObject({ reading: { method: 'type-a', userNumber: 'E00012345' } });
});

describe('a SELECT that is refused without data', () => {
  const refused = ['6283', '6985', '6A86', '6A87', '6700'];
  const number = `${text('L00067890   ')}9000`;

  test.each(refused)('with %s goes on to the card AP of the next profile', async (status) => {
    const outcome = await session(scripted(status, typeCFci, number).transmit).read();
    expect(outcome).toMatchObject({ reading: { userNumber: 'L00067890', method: 'type-c' } });
  });

  test.each(refused)('with %s is the outcome where no other card AP is found', async (status) => {
    for (const answers of [
      [status, '6A82'],
      ['6A82', status],
      [status, '6985'],
    ]) {
      const outcome = await session(scripted(...answers).transmit).read();
      expect(outcome).toMatchObject({ kind: 'refused', fault: { code: 'card-answer-status' } });
      expect(JSON.stringify(outcome)).toContain(status);
    }
  });

  test.each([
    ['with data', ['006985']],
    ['by a card that fails', ['6F00']],
  ])('%s ends the reading', async (_name, answers) => {
    expect(await session(scripted(...answers).transmit).read()).toMatchObject({ kind: 'refused' });
  });
});

test('a Type A card AP that does not authenticate is refused, and Type C does not stand in for it', async () => {
  const [a] = deckCard('forged').cardApplications;
  const [, c] = deckCard('employee').cardApplications;
  const both = cardDescriptionSchema.parse({ formatVersion: 1, cardApplications: [a, c] });
  expect(await session(powered(both).transmit).read()).toMatchObject({
    kind: 'refused',
    fault: { code: 'card-authentication-failed' },
  });
});

test.each(['other-organization', 'no-card-application'])('%s is an unknown card', async (name) => {
  expect(await session(powered(deckCard(name)).transmit).read()).toEqual({ kind: 'unknown-card' });
});

test('a card of a rotated key version is read with that version', async () => {
  const outcome = await session(powered(deckCard('employee-new-key')).transmit).read();
  expect(outcome).toMatchObject({ kind: 'reading', reading: { keyVersion: 2, userNumber: 'E00023456' } });
});

test('a reading says when the key version of its card ends, where the profile ends it', async () => {
  const read = async (name: string) => {
    const keys = { ...typeA.keys, until: { 1: '2027-04-01T00:00:00+09:00' } };
    const profiles = [parseCardProfile({ ...typeA, keys }, 'test')];
    const outcome = await session(powered(deckCard(name)).transmit, { profiles }).read();
    return outcome.kind === 'reading' ? outcome.reading : undefined;
  };
  expect(await read('employee')).toMatchObject({
    keyVersion: 1,
    keyVersionEndsMs: Date.UTC(2027, 2, 31, 15),
  });
  expect(await read('employee-new-key')).not.toHaveProperty('keyVersionEndsMs');
});

test('a key version that the profile does not list is refused without asking for keys', async () => {
  const description = deckCard('employee');
  const keys = { ...typeA.keys, versions: [2, 3] };
  let asked = 0;
  const outcome = await session(powered(description).transmit, {
    profiles: [parseCardProfile({ ...typeA, keys }, 'test')],
    cardKeys: (request) => {
      asked += 1;
      return testKeys(request);
    },
  }).read();
  expect(outcome).toMatchObject({
    kind: 'refused',
    fault: { code: 'card-key-version' },
    namedKey: { profileId: typeA.id, keyVersion: 1 },
  });
  expect(asked).toBe(0);
});

test.each([
  ['no key for the card', new Fault('card-key-missing', 'no key'), 'card-key-missing'],
  ['a vault that is gone', new Fault('key-unavailable', 'no vault'), 'key-unavailable'],
  ['any other failure', new Error('secret: 00112233'), 'key-unavailable'],
])(
  '%s refuses the card, names the key version and says nothing of the cause',
  async (_name, failure, code) => {
    const cardKeys = () => Promise.reject(failure);
    const outcome = await session(powered(deckCard('employee')).transmit, { cardKeys }).read();
    expect(outcome).toMatchObject({
      kind: 'refused',
      fault: { code },
      namedKey: { profileId: typeA.id, keyVersion: 1 },
    });
    expect(JSON.stringify(outcome)).not.toContain('secret');
  },
);

test('keys of a wrong length are refused', async () => {
  const cardKeys = async () => ({ encryption: new Uint8Array(16), mac: new Uint8Array(8) });
  expect(await session(powered(deckCard('employee')).transmit, { cardKeys }).read()).toMatchObject({
    kind: 'refused',
    fault: { code: 'key-unavailable' },
  });
});

test('the static keys are zeroed after the reading, and when the card is removed meanwhile', async () => {
  for (const removedAt of [99, 2, 3]) {
    const card = powered(deckCard('employee'));
    card.misbehave({ kind: 'removed', exchange: removedAt });
    let given: CardKeys = { encryption: new Uint8Array(), mac: new Uint8Array() };
    const cardKeys = async (request: Parameters<typeof testKeys>[0]) => {
      given = await testKeys(request);
      return given;
    };
    await session(card.transmit, { cardKeys }).read();
    expect(given.encryption).toHaveLength(16);
    expect([...given.encryption, ...given.mac].every((byte) => byte === 0)).toBe(true);
  }
});

test.each([1, 2, 3, 4])('a card removed during exchange %i is torn, not refused', async (exchange) => {
  const card = powered(deckCard('employee'));
  card.misbehave({ kind: 'removed', exchange });
  expect(await session(card.transmit).read()).toEqual({ kind: 'removed' });
});

test('a deadline is a time-out, a reader fault a refusal, and a bug is thrown', async () => {
  const failing = (error: Error) => session(() => Promise.reject(error)).read();
  expect(await failing(new Fault('card-timeout', 'late'))).toEqual({ kind: 'timeout' });
  const tooSlow = await failing(new Fault('reading-too-slow', 'late'));
  expect(tooSlow).toEqual({ kind: 'too-slow', exchanges: 1, cardUs: 1 });
  expect(await failing(new Fault('reader-process-lost', 'gone'))).toEqual({
    kind: 'refused',
    fault: { code: 'reader-process-lost', message: 'gone' },
  });
  await expect(failing(new TypeError('bug'))).rejects.toThrow('bug');
});

test('closing the session while the card answers ends it, whatever the card then says', async () => {
  for (let last = 1; last <= 4; last += 1) {
    const card = powered(deckCard('employee'));
    let count = 0;
    const open = session(async (command) => {
      count += 1;
      if (count === last) open.close();
      return card.transmit(command);
    });
    expect(await open.read()).toMatchObject({ kind: 'refused', fault: { code: 'card-channel-closed' } });
    expect(count).toBe(last);
  }
});

const refusals: readonly (readonly [string, string, string[]])[] = [
  ['no bytes', 'card-answer-malformed', ['']],
  ['one byte', 'card-answer-malformed', ['90']],
  ['9000 without the information asked for', 'card-answer-malformed', ['9000']],
  ['garbage', 'card-answer-malformed', ['DEADBEEF9000']],
  ['information of another application', 'card-answer-malformed', [`${fciOf('F04B415A415355010C02')}9000`]],
  ['information of a shortened AID', 'card-answer-malformed', [`${fciOf('F04B415A415355')}9000`]],
  [
    'two AIDs',
    'card-answer-malformed',
    [`${fciOf(typeC.application.aid, buildTlv(0x84, fromHex(typeC.application.aid)))}9000`],
  ],
  ['a deactivated application', 'card-answer-status', ['6283']],
  ['an unknown status', 'card-answer-status', ['6F00']],
  ['read: 9000 with no data', 'card-answer-malformed', [typeCFci, '9000']],
  ['read: too much', 'card-answer-malformed', [typeCFci, `${text('L00067890   X')}9000`]],
  ['read: far too much', 'card-answer-malformed', [typeCFci, `${'41'.repeat(300)}9000`]],
  ['read: only padding', 'user-number-format', [typeCFci, `${text('            ')}9000`]],
  ['read: too short a number', 'user-number-format', [typeCFci, `${text('L0')}6282`]],
  ['read: other characters', 'user-number-format', [typeCFci, `${text('L000\n6789   ')}9000`]],
  ['read: bytes that are no text', 'user-number-format', [typeCFci, `${'FF'.repeat(12)}9000`]],
  ['read: past the end', 'card-answer-status', [typeCFci, '6B00']],
  ['read: not allowed', 'card-answer-status', [typeCFci, '6982']],
  ['read: data with an error status', 'card-answer-status', [typeCFci, `${text('L00067890   ')}6982`]],
  ['read: an Individual Number', 'user-number-individual-number', [typeCFci, `${text('123456789018')}9000`]],
];

test.each(refusals)('a card that answers %s is refused: %s', async (_name, code, answers) => {
  const outcome = await session(scripted(...answers).transmit, { profiles: [typeC] }).read();
  expect(outcome).toMatchObject({ kind: 'refused', fault: { code } });
  expect(JSON.stringify(outcome)).not.toMatch(/L000|123456789018/);
});

test('the end of the file and a wrong Le are no faults', async () => {
  const atEnd = scripted(typeCFci, `${text('L00067890')}6282`);
  expect(await session(atEnd.transmit, { profiles: [typeC] }).read()).toMatchObject({
    reading: { userNumber: 'L00067890' },
  });
  const corrected = scripted('6C0E', typeCFci, '6C09', `${text('L00067890')}9000`);
  expect(await session(corrected.transmit, { profiles: [typeC] }).read()).toMatchObject({
    reading: { userNumber: 'L00067890', timings: { exchanges: 4 } },
  });
  expect(toHex(corrected.commands[3] ?? new Uint8Array())).toBe('00B0810009');
});

test('GET RESPONSE fetches the rest, up to a bound', async () => {
  const half = typeCFci.length / 4;
  const parts = scripted(
    `${typeCFci.slice(0, half * 2)}610A`,
    typeCFci.slice(half * 2),
    `${text('L00067890   ')}9000`,
  );
  expect(await session(parts.transmit, { profiles: [typeC] }).read()).toMatchObject({ kind: 'reading' });
  let asked = 0;
  const endless = session(async () => {
    asked += 1;
    return fromHex(`${'41'.repeat(8)}6108`);
  });
  expect(await endless.read()).toMatchObject({ kind: 'refused', fault: { code: 'card-answer-malformed' } });
  expect(asked).toBeLessThan(20);
});

test('a card that always corrects Le is asked twice and no more', async () => {
  const card = scripted('6C0E', '6C0E');
  expect(await session(card.transmit, { profiles: [typeC] }).read()).toMatchObject({ kind: 'refused' });
  expect(card.commands).toHaveLength(2);
});

test('an answer to SELECT without its key version is malformed, and one that was not asked for is checked', async () => {
  const read = (fci: string, profile = typeA) =>
    session(scripted(`${fci}9000`, '6A82').transmit, { profiles: [profile] }).read();
  const malformedAnswer = { kind: 'refused', fault: { code: 'card-answer-malformed' } };
  expect(await read(fciOf(typeA.application.aid))).toMatchObject(malformedAnswer);
  const long = buildTlv(0xa5, buildTlv(0xc0, Uint8Array.of(1, 2)));
  expect(await read(fciOf(typeA.application.aid, long))).toMatchObject(malformedAnswer);
  const silent = asProfile({ application: { ...typeC.application, answer: 'none' } });
  expect(await read(fciOf('F04B415A415355010C02'), silent)).toMatchObject(malformedAnswer);
  // asked for nothing and told nothing: the read comes next, and fails
  expect(await read('', silent)).toMatchObject({ fault: { code: 'card-answer-status' } });
});

test('a missing or misplaced diversifier is a fault of its own', async () => {
  const withVersion = buildTlv(0xa5, buildTlv(0xc0, Uint8Array.of(1)));
  const outcome = await session(scripted(`${fciOf(typeA.application.aid, withVersion)}9000`).transmit).read();
  expect(outcome).toMatchObject({ kind: 'refused', fault: { code: 'card-diversifier-missing' } });
});

test.each([
  ['short', '0102030405069000', 'card-answer-malformed'],
  ['long', '0102030405060708099000', 'card-answer-malformed'],
  ['refused', '6985', 'card-answer-status'],
])('a challenge that is %s is refused', async (_name, challenge, code) => {
  const card = powered(deckCard('employee'));
  const select = toHex(await card.transmit(fromHex(`00A404000A${typeA.application.aid}00`)));
  expect(await session(scripted(select, challenge).transmit).read()).toMatchObject({
    kind: 'refused',
    fault: { code },
  });
});

const asProfile = (changes: object) =>
  parseCardProfile(
    { ...(readYaml('device-config/card-profiles/synthetic-type-c.yaml') as object), ...changes },
    'test',
  );

test('files by identifier and records are read too', async () => {
  const application = typeC.application;
  const inFile = cardDescriptionSchema.parse({
    formatVersion: 1,
    cardApplications: [
      {
        aid: application.aid,
        files: [
          { shortFileId: 2, fileId: '0011', read: 'always', content: { text: '--L00067890   --' } },
          { shortFileId: 3, read: 'always', records: [{ text: 'other' }, { text: '##L00067891   ' }] },
        ],
      },
    ],
  });
  const byFileId = asProfile({ userNumber: { ...typeC.userNumber, file: { fileId: '0011' }, offset: 2 } });
  const byRecord = asProfile({
    userNumber: { ...typeC.userNumber, file: { shortFileId: 3, record: 2 }, offset: 2 },
  });
  const absent = asProfile({ userNumber: { ...typeC.userNumber, file: { fileId: '0012' } } });
  const read = (profile: typeof byFileId) =>
    session(powered(inFile).transmit, { profiles: [profile] }).read();
  expect(await read(byFileId)).toMatchObject({ reading: { userNumber: 'L00067890' } });
  expect(await read(byRecord)).toMatchObject({ reading: { userNumber: 'L00067891' } });
  expect(await read(absent)).toMatchObject({ kind: 'refused', fault: { code: 'card-answer-status' } });
});

test('a user number without padding is read whole or not at all', async () => {
  const format = { alphabet: 'digits', minimumLength: 8, maximumLength: 8 };
  const fixed = asProfile({ userNumber: { ...typeC.userNumber, length: 8, padding: 'none', format } });
  const read = (answer: string) => session(scripted(typeCFci, answer).transmit, { profiles: [fixed] }).read();
  expect(await read(`${text('00000042')}9000`)).toMatchObject({ reading: { userNumber: '00000042' } });
  expect(await read(`${text('0000004')}6282`)).toMatchObject({ fault: { code: 'card-answer-malformed' } });
});

test('a channel that encrypts says so in the assurance, by what was achieved', async () => {
  const description = withMutualKeys('employee', { messages: 'encrypted' });
  const encrypting = parseCardProfile(
    { ...typeA, channel: { ...mutualChannelOf(typeA), messages: 'encrypted' } },
    'test',
  );
  expect(await session(powered(description).transmit, { profiles: [encrypting] }).read()).toMatchObject({
    reading: { assurance: ['mutual-authentication', 'message-authentication', 'encryption'] },
  });
  // a profile that promises encryption and a card that does not encrypt, and the other way round
  expect(
    await session(powered(deckCard('employee')).transmit, { profiles: [encrypting] }).read(),
  ).toMatchObject({
    kind: 'refused',
  });
  expect(await session(powered(description).transmit, { profiles: [typeA] }).read()).toMatchObject({
    kind: 'refused',
  });
});

test('a session reads once', async () => {
  const open = session(powered(deckCard('employee')).transmit);
  await open.read();
  await expect(open.read()).rejects.toThrow('once');
});

describe('closing', () => {
  const begun = async () => {
    const virtual = powered(deckCard('employee'));
    let answer = (command: Uint8Array) => virtual.transmit(command);
    const open = session((command) => answer(command), { profiles: [typeA] });
    expect((await open.read()).kind).toBe('reading');
    const silence = () => {
      let resolve: (response: Uint8Array) => void = () => undefined;
      answer = () => new Promise((give) => (resolve = give));
      return (response: Uint8Array) => resolve(response);
    };
    return { open, silence };
  };
  const closed = {
    kind: 'refused',
    fault: { code: 'card-channel-closed', message: 'the card session is closed' },
  };

  test('zeroes the session keys, and is the end', async () => {
    const { open } = await begun();
    // two keys, two subkeys of the MAC and the counter at least
    expect(erasedBy(() => open.close()).length).toBeGreaterThanOrEqual(5);
    expect(erasedBy(() => open.close())).toEqual([]);
    expect(await open.verifyPin(pin('1234'))).toEqual(closed);
  });

  test('does so while the card works, whose answer then comes too late', async () => {
    const { open, silence } = await begun();
    const give = silence();
    const verifying = open.verifyPin(pin('1234'));
    expect(erasedBy(() => open.close()).length).toBeGreaterThanOrEqual(5);
    give(Uint8Array.of(0x90, 0x00));
    expect(await verifying).toEqual(closed);
  });

  test('is what becomes of a session on which two PIN commands run at once, which is a bug', async () => {
    const { open, silence } = await begun();
    const give = silence();
    const verifying = open.verifyPin(pin('1234'));
    await expect(open.verifyPin(pin('1234'))).rejects.toThrow('one at a time');
    give(Uint8Array.of(0x90, 0x00));
    expect(await verifying).toEqual(closed);
  });
});
