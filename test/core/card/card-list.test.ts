import { expect, test } from 'vitest';
import { fromHex, toHex } from '#core/bytes/bytes.ts';
import { CardListReader } from '#core/card/card-list.ts';

const profiles = new Set(['type-a']);
const reader = new CardListReader(['利用者番号', 'Profile', '鍵バージョン', 'diversifier'], profiles);
const read = (...cells: readonly string[]) => reader.read(['E1', ...cells]);

test('a card is read by the columns of a list of holders, in either language and any order', () => {
  const card = read('type-a', '１', '4b415a41');
  expect(card).toMatchObject({ profileId: 'type-a', keyVersion: 1 });
  if (typeof card !== 'string' && 'diversifier' in card) expect(toHex(card.diversifier)).toBe('4B415A41');
  expect(read('type-a', '', '4B415A41')).not.toHaveProperty('keyVersion');
  const other = new CardListReader(['カード識別値', 'key version', 'カードプロファイル'], profiles);
  expect(other.missing()).toEqual([]);
  expect(other.read(['4B415A41', '2', 'type-a'])).toMatchObject({ keyVersion: 2 });
});

test('cells may have blanks around them, as spreadsheets leave them, and columns may be missing', () => {
  const spaced = new CardListReader([' Profile ', ' DIVERSIFIER', 'Key-Version\t'], profiles);
  expect(spaced.missing()).toEqual([]);
  expect(spaced.read([' type-a ', ' 4B415A41\u3000', ' 255 '])).toEqual({
    profileId: 'type-a',
    keyVersion: 255,
    diversifier: fromHex('4B415A41'),
  });
  expect(read('type-a', '', '4B415A41')).toEqual({ profileId: 'type-a', diversifier: fromHex('4B415A41') });
  const two = new CardListReader(['profile', 'diversifier'], profiles);
  expect(two.read(['type-a', '4B415A41'])).toEqual({ profileId: 'type-a', diversifier: fromHex('4B415A41') });
  expect(new CardListReader(['diversifier'], new Set(['type-a', ''])).read([''])).toBe('no-card');
});

test.each([
  ['of another profile', ['type-c', '', '']],
  ['without a diversifier', ['type-a', '1', '']],
  ['that is short', ['type-a']],
])('a line %s names no card', (_name, cells) => {
  expect(read(...cells)).toBe('no-card');
});

test.each([
  ['XY', '1', 'hexadecimal'],
  ['4B41', '1', 'hexadecimal'],
  ['4B'.repeat(31), '1', 'hexadecimal'],
  ['123456789018', '1', 'Individual Number'],
  ['4B415A41', '0', 'key version'],
  ['4B415A41', '256', 'key version'],
  ['4B415A41', '1.5', 'key version'],
  ['4B415A41', '1e1', 'key version'],
  ['4B415A41', '0001', 'key version'],
])('diversifier %s, version %s: what is wrong is told without repeating it', (diversifier, version, why) => {
  const line = read('type-a', version, diversifier);
  expect(line).toMatchObject({ problem: expect.stringContaining(why) });
  expect(JSON.stringify(line)).not.toContain(diversifier);
});

test('the columns that are not there are named', () => {
  expect(new CardListReader(['user_number', 'diversifier'], profiles).missing()).toEqual([
    expect.stringContaining('profile / '),
    expect.stringContaining('key_version / '),
  ]);
});
