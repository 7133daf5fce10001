import { expect, test } from 'vitest';
import { release } from '#core/bytes/bytes.ts';

test('bytes that are given back are there no more, unless they share their memory', () => {
  const own = Uint8Array.of(1, 2, 3);
  const whole = Uint8Array.of(1, 2, 3);
  const shared = whole.subarray(1);
  release(own);
  release(shared);
  expect(own.length).toBe(0);
  expect([...whole]).toEqual([1, 2, 3]);
  expect(() => release(own)).not.toThrow();
});
