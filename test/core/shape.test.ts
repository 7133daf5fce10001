import { expect, test } from 'vitest';
import { finite, listOf, objectOf, optional, ordinal, recordOf, text } from '#core/shape.ts';

const shape = objectOf({
  name: text,
  numbers: listOf(ordinal),
  weights: recordOf(finite),
  more: optional(objectOf({ name: text })),
});
const fitting = { name: '', numbers: [1, 2], weights: { a: 0, b: -1.5 }, more: { name: 'x', other: 1 } };

test('fits with members beside those that are asked for, and without optional ones', () => {
  expect(shape({ ...fitting, other: [] })).toEqual([]);
  expect(shape({ ...fitting, more: undefined, numbers: [], weights: {} })).toEqual([]);
});

test.each<[unknown, readonly string[]]>([
  [undefined, ['']],
  [null, ['']],
  [[fitting], ['']],
  ['name', ['']],
  [{}, ['name', 'numbers', 'weights']],
  [{ ...fitting, name: 1 }, ['name']],
  [{ ...fitting, numbers: { 0: 1 } }, ['numbers']],
  [{ ...fitting, numbers: [1, 0, 1.5, '2', 2 ** 53] }, ['numbers.1', 'numbers.2', 'numbers.3', 'numbers.4']],
  [{ ...fitting, weights: [1] }, ['weights']],
  [{ ...fitting, weights: { a: Number.NaN, b: Number.POSITIVE_INFINITY } }, ['weights.a', 'weights.b']],
  [{ ...fitting, more: null }, ['more']],
  [{ ...fitting, more: { other: 1 } }, ['more.name']],
])('%j misfits at %j', (value, paths) => {
  expect(shape(value)).toEqual(paths);
});
