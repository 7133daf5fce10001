import { expect, it } from 'vitest';
import { Seldom } from '#issuance/monitoring/seldom.ts';

it('tells the first ten of each kind in a minute, and then how many more there were', () => {
  let nowMs = 0;
  const seldom = new Seldom({ nowMs: () => nowMs });
  const told = Array.from({ length: 15 }, () => seldom.tell('handshake-refused'));
  expect(told).toEqual([...Array(10).fill({ untold: 0 }), ...Array(5).fill(undefined)]);
  expect(seldom.tell('name-refused')).toEqual({ untold: 0 });
  nowMs = 60_000;
  expect(seldom.tell('handshake-refused')).toEqual({ untold: 5 });
  expect(seldom.tell('handshake-refused')).toEqual({ untold: 0 });
});
