import { describe, expect, test } from 'vitest';
import { parseCardProfile } from '#core/card/profile.ts';
import { typeA, typeC, typeD } from './rig.ts';

/** The problems of a profile as its author reads them; none where it is taken. */
function problems(data: unknown): readonly string[] {
  try {
    parseCardProfile(data, 'profile.yaml');
    return [];
  } catch (error) {
    const [first, ...lines] = (error as Error).message.split('\n');
    expect(first).toBe('profile.yaml is not a card profile:');
    return lines.map((line) => line.replace(/^ {2}/, ''));
  }
}

const changed = (profile: object, section: string, changes: object) => ({
  ...profile,
  [section]: { ...(profile as Record<string, object>)[section], ...changes },
});
const application = (changes: object) => changed(typeC, 'application', changes);
const number = (changes: object) => changed(typeC, 'userNumber', changes);
const file = (changes: object, more: object = {}) => number({ file: changes, ...more });
const keys = (changes: object) => changed(typeA, 'keys', changes);
const pin = (changes: object) => changed(typeA, 'pin', changes);
const format = (alphabet: string) => (minimumLength: number, maximumLength: number) => ({
  alphabet,
  minimumLength,
  maximumLength,
});
const digits = format('digits');
const letters = format('alphanumeric');
const { channel: _channel, ...withoutChannel } = typeA;
const { keys: _keys, ...withoutKeys } = typeA;
const { keys: _none, ...neither } = withoutChannel;
const { pin: _pin, ...withoutPin } = typeA;

describe('each problem is told with its place and what to do, and no other', () => {
  test.each<readonly [readonly string[], unknown]>([
    [
      ['application.aid: has 10 bytes, but aidLength states 12 (give the whole AID)'],
      application({ aidLength: 12 }),
    ],
    [
      [
        'application.aid: has only 9 bytes: a shortened AID may select another application (give the whole AID)',
      ],
      application({ aid: 'F04B415A4153550101' }),
    ],
    [
      [
        'application.aid: has only 7 bytes: a shortened AID may select another application (give the whole AID)',
      ],
      application({ aid: 'D392F000260101', aidLength: 7 }),
    ],
    [
      ['application.aid: is a registered prefix alone (give the whole AID)'],
      application({ aid: 'F04B415A41', aidLength: 5 }),
    ],
    [
      [
        'application.aid: is not hexadecimal of 5 to 16 bytes',
        'application.aid: has only 2 bytes: a shortened AID may select another application (give the whole AID)',
      ],
      application({ aid: 'F04B' }),
    ],
    [
      ['application.aid: is not text (put hexadecimal in quotes, or YAML may read a number)'],
      application({ aid: 5 }),
    ],
    [
      [
        'application.aidLength: Too big: expected number to be <=16',
        'application.aid: has 10 bytes, but aidLength states 17 (give the whole AID)',
      ],
      application({ aidLength: 17 }),
    ],
    [
      [
        'application.aidLength: Too small: expected number to be >=5',
        'application.aid: has 10 bytes, but aidLength states 4 (give the whole AID)',
      ],
      application({ aidLength: 4 }),
    ],
    [['application.answer: Invalid option: expected one of "fci"|"none"'], application({ answer: 'fcp' })],
    [['id: is not a name (use a-z, 0-9 and hyphens, at most 63 characters)'], { ...typeC, id: 'Name' }],
    [
      ['id: is not a name (use a-z, 0-9 and hyphens, at most 63 characters)'],
      { ...typeC, id: 'a'.repeat(64) },
    ],
    [['id: is not a name (use a-z, 0-9 and hyphens, at most 63 characters)'], { ...typeC, id: '-a' }],
    [
      ['organization: is not a name (use a-z, 0-9 and hyphens, at most 63 characters)'],
      { ...typeC, organization: 'kazasu city' },
    ],
    [['formatVersion: Invalid input: expected 1'], { ...typeC, formatVersion: 2 }],
    [['synthetic: is missing'], { ...typeC, synthetic: undefined }],
    [
      ['method: Invalid option: expected one of "type-a"|"type-c"|"type-d"|"custom"'],
      { ...typeC, method: 'type-b' },
    ],
    [['profile: Unrecognized key: "colour" (misspelled, or of a later version)'], { ...typeC, colour: 1 }],
    [
      ['application: Unrecognized key: "colour" (misspelled, or of a later version)'],
      application({ colour: 1 }),
    ],
    [['profile: Invalid input: expected object, received number'], 5],
  ])('of an application: %j', (expected, data) => {
    expect(problems(data)).toEqual(expected);
  });

  test.each<readonly [readonly string[], unknown]>([
    [
      [
        'channel: has no place in Type C, which has no keys and no PIN (remove it)',
        'keys: is missing: the channel needs them (name versions)',
      ],
      { ...typeC, channel: typeA.channel },
    ],
    [
      [
        'keys: has no place in Type C, which has no keys and no PIN (remove it)',
        'keys: has no channel to use it (add channel, or remove keys)',
      ],
      { ...typeC, keys: typeA.keys },
    ],
    [
      [
        'pin: has no place in Type C, which has no keys and no PIN (remove it)',
        'pin: needs a channel: a PIN crosses the air encrypted or not at all (add channel and keys)',
      ],
      { ...typeC, pin: typeA.pin },
    ],
    [
      [
        'channel: is missing: Type A authenticates mutually (add channel and keys)',
        'keys: has no channel to use it (add channel, or remove keys)',
        'pin: needs a channel: a PIN crosses the air encrypted or not at all (add channel and keys)',
      ],
      withoutChannel,
    ],
    [['keys: is missing: the channel needs them (name versions)'], withoutKeys],
    [
      [
        'channel: is missing: Type A authenticates mutually (add channel and keys)',
        'pin: needs a channel: a PIN crosses the air encrypted or not at all (add channel and keys)',
      ],
      neither,
    ],
    [
      ['pin: needs a channel: a PIN crosses the air encrypted or not at all (add channel and keys)'],
      { ...neither, method: 'custom' },
    ],
    [
      ['channel.messages: must be encrypted: Type D encrypts what it reads (set messages: encrypted)'],
      { ...withoutPin, method: 'type-d' },
    ],
    [
      ['channel.level: must be encrypted: Type D encrypts what it reads (set level: "33")'],
      changed(typeD, 'channel', { level: '13' }),
    ],
    [['pin: has no place in Type D, which has no PIN (remove it)'], { ...typeD, pin: typeA.pin }],
    [
      ['channel.level: must be 11, 13 or 33: Type A reads nothing without a MAC'],
      { ...changed(typeD, 'channel', { level: '03' }), method: 'type-a' },
    ],
    [
      ['keys.versionAt: has no place in SCP03, where INITIALIZE UPDATE tells it (remove it)'],
      changed(typeD, 'keys', { versionAt: '6F/A5/C0' }),
    ],
    [
      ['keys.diversifier: has no place in SCP03, where INITIALIZE UPDATE tells it (remove it)'],
      changed(typeD, 'keys', { diversifier: { at: '6F/A5/C1', length: 10 } }),
    ],
    [
      ['application.answer: must be fci: the answer to SELECT names the key version'],
      changed(typeA, 'application', { answer: 'none' }),
    ],
    [['keys.versionAt: is missing (say where SELECT names the key version)'], keys({ versionAt: undefined })],
    [
      ['keys.diversifier: is missing: each card has keys of its own, made from it (say where it is)'],
      keys({ diversifier: undefined }),
    ],
    [
      [
        'keys.diversifier: has no place without diversification: nothing proves it where all cards share their keys (remove it)',
      ],
      keys({ diversification: 'none' }),
    ],
    [
      ['keys.diversifier.at: is where the key version is (name the tag of the diversifier)'],
      keys({ diversifier: { at: '6F/A5/C0', length: 10 } }),
    ],
    [['keys.versions: names a version twice'], keys({ versions: [1, 1] })],
    [['keys.versions: Too small: expected array to have >=1 items'], keys({ versions: [] })],
    [['keys.versions.0: Too small: expected number to be >=1'], keys({ versions: [0] })],
    [['keys.versions.0: Too big: expected number to be <=255'], keys({ versions: [256] })],
    [
      ['keys.versions: Too big: expected array to have <=16 items'],
      keys({ versions: Array.from({ length: 17 }, (_, i) => i + 1) }),
    ],
    [
      ['keys.until.3: is not among the versions (correct it, or remove it)'],
      keys({ until: { 3: '2027-04-01T00:00:00+09:00' } }),
    ],
    [
      ['keys.until.1: is no date and time with its offset, such as "2027-04-01T00:00:00+09:00"'],
      keys({ until: { 1: '2027-04-01' } }),
    ],
    [
      ['keys.diversifier.length: Too small: expected number to be >=4'],
      keys({ diversifier: { at: '6F/A5/C1', length: 3 } }),
    ],
    [
      ['keys.diversifier.length: Too big: expected number to be <=30'],
      keys({ diversifier: { at: '6F/A5/C1', length: 31 } }),
    ],
    [
      [
        'keys.diversifier.at: is not a path of tags (such as 6F/A5/C1, upper case, from the outermost tag in)',
      ],
      keys({ diversifier: { at: '6f/A5', length: 10 } }),
    ],
    [
      ['channel.askedKeyVersion: is not among keys.versions (correct it, or set 0: the card chooses)'],
      changed(changed(typeD, 'channel', { askedKeyVersion: 3 }), 'keys', { versions: [1] }),
    ],
    [
      [
        'channel.askedKeyVersion: must be 0 while more than one key version is accepted: the card chooses (set 0)',
      ],
      changed(typeD, 'channel', { askedKeyVersion: 1 }),
    ],
    [
      [
        'channel.askedKeyVersion: Too big: expected number to be <=127',
        'channel.askedKeyVersion: is not among keys.versions (correct it, or set 0: the card chooses)',
      ],
      changed(typeD, 'channel', { askedKeyVersion: 128 }),
    ],
    [
      ['channel.mechanism: must have a mechanism: mutual or scp03'],
      changed(typeD, 'channel', { mechanism: 'pace' }),
    ],
    [
      ['channel.level: must be 13 or 33 with a PIN, which crosses the air encrypted, its answer with a MAC'],
      { ...changed(typeD, 'channel', { level: '11' }), method: 'custom', pin: typeA.pin },
    ],
    [
      ['channel.level: must be 13 or 33 with a PIN, which crosses the air encrypted, its answer with a MAC'],
      { ...changed(typeD, 'channel', { level: '03' }), method: 'custom', pin: typeA.pin },
    ],
    [
      ['keys.diversifier: Unrecognized key: "colour" (misspelled, or of a later version)'],
      keys({ diversifier: { at: '6F/A5/C1', length: 10, colour: 1 } }),
    ],
  ])('of keys and channels: %j', (expected, data) => {
    expect(problems(data)).toEqual(expected);
  });

  test.each<readonly [readonly string[], unknown]>([
    [['userNumber.file: must have one of shortFileId and fileId'], file({})],
    [['userNumber.file: must have one of shortFileId and fileId'], file({ shortFileId: 1, fileId: '0001' })],
    [['userNumber.file.shortFileId: Too big: expected number to be <=30'], file({ shortFileId: 31 })],
    [['userNumber.file.shortFileId: Too small: expected number to be >=1'], file({ shortFileId: 0 })],
    [['userNumber.file.fileId: is not hexadecimal of 2 bytes'], file({ fileId: '001' })],
    [['userNumber.file.record: Too big: expected number to be <=254'], file({ shortFileId: 1, record: 255 })],
    [['userNumber.file.record: Too small: expected number to be >=1'], file({ shortFileId: 1, record: 0 })],
    [
      ['userNumber.length: is more than a record has (a record has 256 bytes at most)'],
      file({ shortFileId: 1, record: 1 }, { offset: 245 }),
    ],
    [['userNumber.offset: is more than 255, which needs the file by its fileId'], number({ offset: 256 })],
    [['userNumber.offset: Too small: expected number to be >=0'], number({ offset: -1 })],
    [
      ['userNumber.offset: is more than READ BINARY reaches (32,767 with the length)'],
      file({ fileId: '0001' }, { offset: 32_757 }),
    ],
    [
      [
        'userNumber.offset: Too big: expected number to be <=32767',
        'userNumber.offset: is more than READ BINARY reaches (32,767 with the length)',
      ],
      file({ fileId: '0001' }, { offset: 32_768 }),
    ],
    [
      [
        'userNumber.length: Too small: expected number to be >=1',
        'userNumber.format.maximumLength: is more than the 0 bytes that are read',
      ],
      number({ length: 0 }),
    ],
    [['userNumber.length: Too big: expected number to be <=2048'], number({ length: 2049 })],
    [
      ['userNumber.format.maximumLength: is more than the 12 bytes that are read'],
      number({ format: letters(6, 13) }),
    ],
    [
      ['userNumber.padding: is none, so the format must have exactly the length that is read'],
      number({ padding: 'none', format: letters(11, 12) }),
    ],
    [
      ['userNumber.padding: is none, so the format must have exactly the length that is read'],
      number({ padding: 'none', format: letters(11, 11) }),
    ],
    [
      ['userNumber.format.alphabet: must be digits, since bcd holds nothing else'],
      number({ encoding: 'bcd', padding: 'FF', format: letters(6, 10) }),
    ],
    [
      ['userNumber.padding: would be digits in bcd (use "FF" or "none")'],
      number({ encoding: 'bcd', padding: '20', format: digits(6, 10) }),
    ],
    [
      ['userNumber.padding: would be digits in bcd (use "FF" or "none")'],
      number({ encoding: 'bcd', padding: '00', format: digits(6, 10) }),
    ],
    [
      ['userNumber.format.maximumLength: is more than the 4 bytes that are read'],
      number({ encoding: 'bcd', padding: 'FF', length: 4, format: digits(6, 9) }),
    ],
    [
      ['userNumber.padding: is none, so the format must have exactly the length that is read'],
      number({ encoding: 'bcd', padding: 'none', length: 5, format: digits(8, 8) }),
    ],
    [['userNumber.encoding: Invalid option: expected one of "ascii"|"bcd"'], number({ encoding: 'hex' })],
    [['userNumber.padding: Invalid option: expected one of "20"|"none"|"00"|"FF"'], number({ padding: '0' })],
    [
      ['userNumber.at: is not a path of tags (such as 6F/A5/C1, upper case, from the outermost tag in)'],
      number({ at: '70//5F20' }),
    ],
    [
      ['userNumber.file: Unrecognized key: "colour" (misspelled, or of a later version)'],
      file({ shortFileId: 1, colour: 1 }),
    ],
  ])('of a user number: %j', (expected, data) => {
    expect(problems(data)).toEqual(expected);
  });

  test.each<readonly [readonly string[], unknown]>([
    [['pin.maximumDigits: is smaller than minimumDigits'], pin({ minimumDigits: 8, maximumDigits: 7 })],
    [['pin.minimumDigits: Too small: expected number to be >=4'], pin({ minimumDigits: 3 })],
    [
      [
        'pin.minimumDigits: Too big: expected number to be <=12',
        'pin.maximumDigits: Too big: expected number to be <=12',
      ],
      pin({ minimumDigits: 13, maximumDigits: 13 }),
    ],
    [['pin.reference: Too small: expected number to be >=1'], pin({ reference: 0 })],
    [['pin.reference: Too big: expected number to be <=159'], pin({ reference: 160 })],
    [['pin.minimumTriesLeft: Too small: expected number to be >=1'], pin({ minimumTriesLeft: 0 })],
    [['pin.minimumTriesLeft: Too big: expected number to be <=15'], pin({ minimumTriesLeft: 16 })],
    [
      [
        'pin.padding: has no place in iso-9564-2, which is 8 bytes filled with F (remove it)',
        'pin.length: has no place in iso-9564-2, which is 8 bytes filled with F (remove it)',
      ],
      pin({ encoding: 'iso-9564-2', padding: 'FF', length: 8 }),
    ],
    [['pin.length: is missing: say how many bytes the PIN has with its padding'], pin({ padding: 'FF' })],
    [
      ['pin.padding: is none, so the PIN has as many bytes as its digits need (remove length)'],
      pin({ length: 8 }),
    ],
    [
      ['pin.padding: would be digits in bcd (use "FF" or "none")'],
      pin({ encoding: 'bcd', padding: '00', length: 4 }),
    ],
    [
      ['pin.padding: would be digits in bcd (use "FF" or "none")'],
      pin({ encoding: 'bcd', padding: '20', length: 4 }),
    ],
    [['pin.length: is less than the 8 bytes of the longest PIN'], pin({ padding: 'FF', length: 7 })],
    [
      ['pin.length: is less than the 4 bytes of the longest PIN'],
      pin({ encoding: 'bcd', padding: 'FF', length: 3 }),
    ],
  ])('of a PIN: %j', (expected, data) => {
    expect(problems(data)).toEqual(expected);
  });
});

test.each<readonly [string, unknown]>([
  ['an AID of 5 to 16 bytes', application({ aid: 'F0'.repeat(16), aidLength: 16 })],
  ['a short AID whose length is stated', application({ aid: 'F04B415A4153', aidLength: 6 })],
  ['a name of 63 characters', { ...typeC, id: 'a'.repeat(63) }],
  ['sixteen key versions', keys({ versions: Array.from({ length: 16 }, (_, i) => 240 + i) })],
  ['a short diversifier', keys({ diversifier: { at: '6F/A5/C1', length: 4 } })],
  ['a long diversifier', keys({ diversifier: { at: '6F/A5/7F01/C1', length: 30 } })],
  [
    'the highest key version that can be asked for',
    changed(changed(typeD, 'channel', { askedKeyVersion: 127 }), 'keys', { versions: [127] }),
  ],
  ['the last file of a short identifier, as far as it goes', file({ shortFileId: 30 }, { offset: 255 })],
  ['the end of the longest file', file({ fileId: '0001' }, { offset: 32_756 })],
  ['the end of a record', file({ shortFileId: 1, record: 254 }, { offset: 244 })],
  [
    'a data object behind the first 256 bytes of a record',
    file({ shortFileId: 1, record: 1 }, { offset: 300, at: '70/5F20' }),
  ],
  [
    'as many digits as bcd has room for',
    number({ encoding: 'bcd', padding: 'FF', length: 5, format: digits(1, 10) }),
  ],
  [
    'an odd count of digits in bcd without padding',
    number({ encoding: 'bcd', padding: 'none', length: 5, format: digits(9, 9) }),
  ],
  ['a number without padding', number({ padding: 'none', format: letters(12, 12) })],
  ['a data object of any length', number({ at: '70/5F20', length: 2048, padding: 'none' })],
  [
    'a PIN of 4 to 12 digits',
    pin({ minimumDigits: 4, maximumDigits: 12, minimumTriesLeft: 15, reference: 159 }),
  ],
  ['a PIN of one length', pin({ minimumDigits: 4, maximumDigits: 4, minimumTriesLeft: 1, reference: 1 })],
  ['a padded PIN', pin({ padding: 'FF', length: 8 })],
  ['a padded PIN in bcd', pin({ encoding: 'bcd', padding: 'FF', length: 4 })],
  ['a PIN block of ISO 9564-1', pin({ encoding: 'iso-9564-2' })],
  ['Type A without a PIN', withoutPin],
  [
    'SCP03 of level 13 with a PIN',
    { ...changed(typeD, 'channel', { level: '13' }), method: 'custom', pin: typeA.pin },
  ],
  ['a custom card AP without a channel', { ...typeC, method: 'custom' }],
])('%s is taken', (_name, data) => {
  expect(problems(data)).toEqual([]);
});
