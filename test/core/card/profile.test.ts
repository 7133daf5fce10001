import { describe, expect, test } from 'vitest';
import { fixedApplications } from '#core/card/applications.ts';
import { parseCardProfile } from '#core/card/profile.ts';
import { readYaml, shippedProfile, typeA, typeC, typeD } from './rig.ts';

/** The message of the refusal; fails when the profile is taken. */
function refusal(data: unknown): string {
  try {
    parseCardProfile(data, 'profile.yaml');
  } catch (error) {
    expect(error).toMatchObject({ code: 'profile-invalid' });
    return (error as Error).message;
  }
  throw new Error('the profile was taken');
}

const application = (changes: object) => ({ ...typeC, application: { ...typeC.application, ...changes } });

test('the shipped profiles are synthetic, and all their text is used', () => {
  for (const name of ['synthetic-type-a', 'synthetic-type-c', 'synthetic-type-d']) {
    const profile = shippedProfile(name);
    expect(profile).toEqual(readYaml(`device-config/card-profiles/${name}.yaml`));
    expect(profile).toMatchObject({ id: name, synthetic: true });
  }
  expect(typeA.pin).toBeDefined();
});

describe('Type C', () => {
  test.each(['channel', 'keys', 'pin'] as const)('with %s is refused', (section) => {
    expect(refusal({ ...typeC, [section]: typeA[section] })).toContain(`${section}: has no place in Type C`);
  });
});

describe('Type D', () => {
  const { pin: _pin, ...withoutPin } = typeA;
  const { channel: _channel, ...withoutChannel } = withoutPin;
  const encrypted = { ...typeA.channel, messages: 'encrypted' };

  test.each([
    ['that only authenticates', withoutPin],
    ['without a channel', withoutChannel],
  ])('%s is refused: its channel must encrypt', (_name, profile) => {
    expect(refusal({ ...profile, method: 'type-d' })).toContain('channel.messages: must be encrypted');
  });

  test('with a PIN is refused, and with an encrypting channel taken', () => {
    expect(refusal({ ...typeA, method: 'type-d', channel: encrypted })).toContain(
      'pin: has no place in Type D',
    );
    expect(parseCardProfile({ ...withoutPin, method: 'type-d', channel: encrypted }, 'x').method).toBe(
      'type-d',
    );
  });
});

describe('a channel by SCP03', () => {
  const scp03 = (level: string) => ({ ...typeD.channel, level });

  test.each(['01', '03', '11', '13'])('of level %s encrypts no answers, so Type D refuses it', (level) => {
    expect(refusal({ ...typeD, channel: scp03(level) })).toContain('channel.level: must be encrypted');
  });

  test.each(['01', '03'])('of level %s authenticates no answers, so Type A refuses it', (level) => {
    expect(refusal({ ...typeD, method: 'type-a', channel: scp03(level) })).toContain(
      'channel.level: must be 11, 13 or 33',
    );
  });

  test.each(['01', '03', '11'])('of level %s carries no PIN', (level) => {
    const profile = { ...typeD, method: 'custom', channel: scp03(level), pin: typeA.pin };
    expect(refusal(profile)).toContain('channel.level: must be 13 or 33 with a PIN');
  });

  test.each(['11', '13', '33'])('of level %s is good enough for Type A, with a PIN from 13 on', (level) => {
    const profile = { ...typeD, method: 'type-a', channel: scp03(level) };
    expect(parseCardProfile(profile, 'x').method).toBe('type-a');
    if (level !== '11') expect(parseCardProfile({ ...profile, pin: typeA.pin }, 'x').pin).toEqual(typeA.pin);
  });

  test('needs no answer to SELECT, and is told nothing by it', () => {
    expect(
      parseCardProfile({ ...typeD, application: { ...typeD.application, answer: 'none' } }, 'x').method,
    ).toBe('type-d');
    const { versionAt, diversifier } = typeA.keys ?? {};
    for (const place of [{ versionAt }, { diversifier }]) {
      expect(refusal({ ...typeD, keys: { ...typeD.keys, ...place } })).toContain('has no place in SCP03');
    }
  });

  test('asks for a key version only where no other is accepted', () => {
    const asking = (askedKeyVersion: number, versions: number[]) => ({
      ...typeD,
      channel: { ...typeD.channel, askedKeyVersion },
      keys: { ...typeD.keys, versions, until: undefined },
    });
    expect(parseCardProfile(asking(1, [1]), 'x').channel).toMatchObject({ askedKeyVersion: 1 });
    expect(parseCardProfile(asking(0, [1, 2]), 'x').channel).toMatchObject({ askedKeyVersion: 0 });
    expect(refusal(asking(3, [1]))).toContain('channel.askedKeyVersion: is not among keys.versions');
    expect(refusal(asking(1, [1, 2]))).toContain('channel.askedKeyVersion: must be 0 while more than one');
  });

  test.each([
    ['an unknown mechanism', { mechanism: 'scp02' }, 'must have a mechanism'],
    ['an unknown cipher', { cipher: '3des' }, 'channel.cipher'],
    ['a level without quotes', { level: 33 }, 'channel.level'],
    ['an unknown level', { level: '30' }, 'channel.level'],
    ['a key version that P1 cannot hold', { askedKeyVersion: 128 }, 'channel.askedKeyVersion'],
    ['the parameters of the other mechanism', { messages: 'encrypted' }, '"messages"'],
  ])('with %s is refused', (_name, changes, place) => {
    expect(refusal({ ...typeD, channel: { ...typeD.channel, ...changes } })).toContain(place);
  });
});

describe('keys of the mutual mechanism', () => {
  const withKeys = (changes: object) => ({ ...typeA, keys: { ...typeA.keys, ...changes } });

  test('need the place of the key version, and of the diversifier where there is one to need', () => {
    expect(refusal(withKeys({ versionAt: undefined }))).toContain('keys.versionAt: is missing');
    expect(refusal(withKeys({ diversifier: undefined }))).toContain('keys.diversifier: is missing');
    expect(refusal(withKeys({ diversification: 'none' }))).toContain('keys.diversifier: has no place');
  });
});

describe('Type A', () => {
  test('needs a channel and keys', () => {
    const { channel: _channel, ...withoutChannel } = typeA;
    expect(refusal(withoutChannel)).toContain('channel: is missing');
    const { keys: _keys, ...withoutKeys } = typeA;
    expect(refusal(withoutKeys)).toContain('keys: is missing');
    expect(refusal(withoutChannel)).toContain('keys: has no channel to use it');
  });

  test('needs the information that SELECT answers', () => {
    expect(refusal({ ...typeA, application: { ...typeA.application, answer: 'none' } })).toContain(
      'must be fci',
    );
  });

  test('may do without a PIN and without a diversifier', () => {
    const { pin: _pin, ...withoutPin } = typeA;
    expect(parseCardProfile(withoutPin, 'x').pin).toBeUndefined();
    const { diversifier: _diversifier, ...keys } = typeA.keys ?? {};
    expect(
      parseCardProfile({ ...typeA, keys: { ...keys, diversification: 'none' } }, 'x').keys?.diversifier,
    ).toBeUndefined();
    expect(refusal({ ...typeA, keys })).toContain('keys.diversifier: is missing');
  });

  test('ends only versions that it lists, at a time that says its offset', () => {
    const ending = (until: unknown) => ({ ...typeA, keys: { ...typeA.keys, until } });
    const until = { 1: '2027-04-01T00:00:00+09:00' };
    expect(parseCardProfile(ending(until), 'x').keys?.until).toEqual(until);
    expect(refusal(ending({ 7: '2027-04-01T00:00:00+09:00' }))).toContain('is not among the versions');
    expect(refusal(ending({ 1: '2027-04-01' }))).toContain('offset');
  });

  test('names each key version once, and the diversifier elsewhere', () => {
    expect(refusal({ ...typeA, keys: { ...typeA.keys, versions: [1, 1] } })).toContain(
      'names a version twice',
    );
    const at = typeA.keys?.versionAt;
    expect(refusal({ ...typeA, keys: { ...typeA.keys, diversifier: { at, length: 10 } } })).toContain(
      'keys.diversifier.at',
    );
  });
});

describe('an AID', () => {
  test.each([
    ['shortened', { aid: 'F04B415A415355' }],
    ['shortened, of J-LIS, whatever is stated', { aid: 'D392F0002601', aidLength: 6 }],
    ['that is only a registered prefix', { aid: 'F04B415A41', aidLength: 5 }],
    ['of another length than stated', { aid: 'F04B415A415355010C01', aidLength: 12 }],
    ['of too few bytes', { aid: 'F04B' }],
    ['of too many bytes', { aid: 'F0'.repeat(17) }],
    ['of half a byte', { aid: 'F04B415A415355010C0' }],
    ['without quotes', { aid: 1234567890 }],
  ])('%s is refused', (_name, changes) => {
    expect(refusal(application(changes))).toContain('application.aid: ');
  });

  test('shorter than 10 bytes is taken when its length is stated', () => {
    expect(
      parseCardProfile(application({ aid: 'F04B415A415355', aidLength: 7 }), 'x').application.aidLength,
    ).toBe(7);
  });

  test.each(fixedApplications)(
    'of the card itself ($name) is refused, and so is its beginning',
    ({ aid }) => {
      expect(refusal(application({ aid, aidLength: aid.length / 2 }))).toContain("selects the card's own");
      const shortened = aid.slice(0, -2);
      expect(refusal(application({ aid: shortened, aidLength: shortened.length / 2 }))).toContain(
        "selects the card's own",
      );
    },
  );

  test('is read in either case', () => {
    expect(parseCardProfile(application({ aid: typeC.application.aid.toLowerCase() }), 'x')).toEqual(typeC);
  });
});

describe('a PIN policy', () => {
  const withPin = (changes: object) => ({ ...typeA, pin: { ...typeA.pin, ...changes } });

  test.each([
    ['fewer than 4 digits', { minimumDigits: 3 }],
    ['more than 12 digits', { maximumDigits: 13 }],
    ['a maximum below the minimum', { minimumDigits: 8, maximumDigits: 4 }],
    ['no try left', { minimumTriesLeft: 0 }],
    ['more tries than a card can tell', { minimumTriesLeft: 16 }],
    ['no reference', { reference: 0 }],
    ['a reference that is no number', { reference: '81' }],
    ['half a digit', { minimumDigits: 4.5 }],
  ])('with %s is refused', (_name, changes) => {
    expect(refusal(withPin(changes))).toContain('pin.');
  });

  test('without a channel to encrypt it is refused', () => {
    const { channel: _channel, keys: _keys, ...rest } = typeA;
    expect(refusal({ ...rest, method: 'custom' })).toContain('pin: needs a channel');
  });
});

describe('a user number', () => {
  const withNumber = (changes: object) => ({ ...typeC, userNumber: { ...typeC.userNumber, ...changes } });
  const digits = (minimumLength: number, maximumLength: number) => ({
    alphabet: 'digits',
    minimumLength,
    maximumLength,
  });

  test('of 12 digits only is refused, since it would look like an Individual Number', () => {
    expect(refusal(withNumber({ format: digits(12, 12) }))).toContain('Individual Number');
    expect(parseCardProfile(withNumber({ format: digits(8, 12) }), 'x').userNumber.format.maximumLength).toBe(
      12,
    );
  });

  test.each([
    ['a file named twice', { file: { shortFileId: 1, fileId: '0011' } }],
    ['a file not named', { file: { record: 1 } }],
    ['a format longer than what is read', { format: digits(6, 13) }],
    ['no padding and a length that varies', { padding: 'none' }],
    ['a maximum below the minimum', { format: digits(8, 6) }],
    ['an offset beyond what a short file identifier allows', { offset: 256 }],
    ['an end beyond what READ BINARY reaches', { file: { fileId: '0011' }, offset: 32_767 }],
    ['more than a record holds', { file: { shortFileId: 1, record: 1 }, offset: 250 }],
    ['letters in bcd', { encoding: 'bcd', padding: 'FF' }],
    ['padding that would be digits in bcd', { encoding: 'bcd', padding: '00', format: digits(6, 10) }],
    [
      'more digits than bcd has room for',
      { encoding: 'bcd', padding: 'FF', length: 4, format: digits(6, 9) },
    ],
    [
      'a length that varies in bcd without padding',
      { encoding: 'bcd', padding: 'none', format: digits(6, 10) },
    ],
    ['a path that is none', { at: '70//5F20' }],
  ])('with %s is refused', (_name, changes) => {
    expect(refusal(withNumber(changes))).toContain('userNumber.');
  });
});

test('a user number in bcd, or in a data object of any length, is taken', () => {
  const format = { alphabet: 'digits', minimumLength: 9, maximumLength: 9 };
  const bcd = { ...typeC.userNumber, encoding: 'bcd', padding: 'none', length: 5, format };
  expect(parseCardProfile({ ...typeC, userNumber: bcd }, 'x').userNumber.encoding).toBe('bcd');
  const object = { ...typeC.userNumber, at: '70/5F20', length: 2048, padding: 'none' };
  expect(parseCardProfile({ ...typeC, userNumber: object }, 'x').userNumber.at).toBe('70/5F20');
});

test('unknown keys are refused at every level', () => {
  expect(refusal({ ...typeA, colour: 1 })).toContain('"colour"');
  for (const section of ['application', 'userNumber', 'channel', 'keys', 'pin'] as const) {
    expect(refusal({ ...typeA, [section]: { ...typeA[section], colour: 1 } })).toContain(
      `${section}: Unrecognized key: "colour"`,
    );
  }
});

test('all problems are reported together, each with its place', () => {
  const message = refusal({
    ...typeC,
    keys: typeA.keys,
    application: { aid: 'D3921000310001', aidLength: 7, answer: 'fci' },
  });
  expect(message.split('\n')).toHaveLength(5);
  expect(message).toMatch(/^profile\.yaml is not a card profile:/);
  const missing = refusal({ formatVersion: 2, id: 'Ä' });
  for (const place of [
    'formatVersion',
    'id',
    'synthetic',
    'organization',
    'method',
    'application',
    'userNumber',
  ]) {
    expect(missing).toContain(`\n  ${place}: `);
  }
});

test.each([undefined, null, 5, 'text', []])('%j is no profile', (data) => {
  expect(refusal(data)).toContain('profile: ');
});
