import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  containsIndividualNumber,
  hasUserNumberFormat,
  looksLikeIndividualNumber,
  refuseIndividualNumber,
} from '#core/card/user-number.ts';
import { userNumberFormatSchema } from '#core/card/user-number-format.ts';

test.each(['123456789018', '1234 5678 9018', '1234-5678-9018', '１２３４５６７８９０１８', '000000000000'])(
  '%s looks like an Individual Number',
  (text) => {
    expect(looksLikeIndividualNumber(text)).toBe(true);
  },
);

test.each(['123456789010', '12345678901', '1234567890189', 'A23456789018', '', 'E00012345'])(
  '%j does not',
  (text) => {
    expect(looksLikeIndividualNumber(text)).toBe(false);
  },
);

test('of every eleven digits exactly one check digit fits, by the weights 6 5 4 3 2 7 6 5 4 3 2', () => {
  const weights = [6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2];
  fc.assert(
    fc.property(fc.array(fc.nat(9), { minLength: 11, maxLength: 11 }), (digits) => {
      const remainder = digits.reduce((sum, digit, i) => sum + digit * (weights[i] ?? 0), 0) % 11;
      const fitting = Array.from({ length: 10 }, (_, check) => check).filter((check) =>
        looksLikeIndividualNumber([...digits, check].join('')),
      );
      expect(fitting).toEqual([remainder <= 1 ? 0 : 11 - remainder]);
    }),
  );
});

test('a format takes its alphabet and lengths, with leading zeros and without trimming', () => {
  const format = userNumberFormatSchema.parse({
    alphabet: 'uppercase-alphanumeric',
    minimumLength: 2,
    maximumLength: 4,
  });
  for (const good of ['00', '0A1Z', '0001']) expect(hasUserNumberFormat(format, good)).toBe(true);
  for (const bad of ['0', '00000', 'ab', ' 00', '00 ', '0-0', '００'])
    expect(hasUserNumberFormat(format, bad)).toBe(false);
});

describe('a format', () => {
  const problems = (format: object) => {
    const parsed = userNumberFormatSchema.safeParse(format);
    return parsed.error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`) ?? [];
  };

  test('has a longest number that is no shorter than its shortest', () => {
    const format = { alphabet: 'alphanumeric', minimumLength: 8, maximumLength: 7 };
    expect(problems(format)).toEqual([
      'maximumLength: is smaller than minimumLength (give the longest user number)',
    ]);
    expect(problems({ ...format, maximumLength: 8 })).toEqual([]);
  });

  test('is none of 12 digits only, among which one in ten would pass for an Individual Number', () => {
    const format = { alphabet: 'digits', minimumLength: 12, maximumLength: 12 };
    expect(problems(format)).toEqual([
      ': is a format of 12 digits only: such numbers look like Individual Numbers (use another length or add a letter)',
    ]);
    for (const other of [{ minimumLength: 11 }, { maximumLength: 13 }, { alphabet: 'alphanumeric' }])
      expect(problems({ ...format, ...other })).toEqual([]);
  });
});

test.each([
  'マイナンバー 1234 5678 9018 を紛失',
  '番号１２３４５６７８９０１８の人',
  'no. 1234-5678-9018.',
  '123456789018',
])('%j has an Individual Number in it', (text) => {
  expect(containsIndividualNumber(text)).toBe(true);
  expect(() => refuseIndividualNumber(text, 'the reason')).toThrow('the reason has the check digit');
});

test.each(['12345678901', '1234567890180', '1234 5678 9010', '2026-11-22 12:34', 'lost on 5 May', ''])(
  '%j has none in it',
  (text) => {
    expect(containsIndividualNumber(text)).toBe(false);
    refuseIndividualNumber(text, 'the reason');
  },
);
