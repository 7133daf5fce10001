import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JournalQueue } from '#issuance/journal/journal-queue.ts';

const rig = (limits: { batches: number; bytes: number }) => {
  const queue = new JournalQueue(limits);
  const dropped: string[] = [];
  return {
    queue,
    dropped,
    put: (terminal: string, name: string, length = 1, organization = 'city') => {
      const payload = new Uint8Array(length);
      queue.put({
        message: { from: { organization, terminal }, kind: 'journal', payload },
        settled: () => dropped.push(name),
      });
      names.set(payload, name);
    },
    take: (messages: number, bytes = 1_000, organization = 'city') =>
      queue.take(organization, { messages, bytes }).map(({ message }) => names.get(message.payload)),
  };
};
const names = new Map<Uint8Array, string>();

describe('batches that wait to be stored', () => {
  it('are taken of each terminal in turn, and of one in their order', () => {
    const { put, take, queue } = rig({ batches: 8, bytes: 1_000 });
    for (const name of ['a1', 'a2', 'a3', 'b1', 'c1', 'c2']) put(name.slice(0, 1), name);
    put('a', 'other', 1, 'town');
    expect([queue.waiting('city'), queue.waiting('town'), queue.waiting('other')]).toEqual([6, 1, 0]);
    expect(take(4)).toEqual(['a1', 'b1', 'c1', 'a2']);
    expect(take(9)).toEqual(['c2', 'a3']);
    expect(take(9)).toEqual([]);
    expect(take(9, 9, 'town')).toEqual(['other']);
    expect(queue.load()).toBe(0);
  });

  it('are taken up to so many bytes', () => {
    const { put, take } = rig({ batches: 8, bytes: 1_000 });
    for (const name of ['a1', 'a2', 'a3']) put('a', name, 100);
    expect(take(9, 101)).toEqual(['a1', 'a2']);
  });

  it('have so many places for each terminal', () => {
    const { put, take, dropped } = rig({ batches: 2, bytes: 1_000 });
    for (const name of ['a1', 'a2', 'a3', 'b1']) put(name.slice(0, 1), name);
    expect(dropped).toEqual(['a3']);
    expect(take(9)).toEqual(['a1', 'b1', 'a2']);
  });

  it('make room, where memory is short, at the cost of the terminal that takes most of it', () => {
    const { put, take, dropped, queue } = rig({ batches: 8, bytes: 100 });
    put('a', 'a1', 40);
    put('a', 'a2', 40);
    expect(queue.load()).toBe(0.8);
    put('b', 'b1', 30);
    expect(dropped).toEqual(['a2']);
    put('c', 'c1', 90);
    expect(dropped).toEqual(['a2', 'c1']);
    expect(take(9)).toEqual(['a1', 'b1']);
    expect(queue.load()).toBe(0);
  });

  it('are all told that they are dropped at the end', () => {
    const { put, dropped, queue, take } = rig({ batches: 8, bytes: 100 });
    put('a', 'a1');
    put('b', 'b1', 1, 'town');
    queue.clear();
    expect(dropped).toEqual(['a1', 'b1']);
    expect(take(9)).toEqual([]);
  });

  it('each end once, whatever comes', () => {
    const step = fc.record({ terminal: fc.nat(3), length: fc.nat(60), take: fc.nat(3) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { put, take, dropped } = rig({ batches: 3, bytes: 100 });
        const ended: (string | undefined)[] = [];
        for (const [at, { terminal, length, take: count }] of steps.entries()) {
          put(`t${terminal}`, `${at}`, length);
          if (count > 0) ended.push(...take(count));
        }
        ended.push(...take(1_000), ...dropped);
        expect(ended.sort()).toEqual(steps.map((_, at) => `${at}`).sort());
      }),
    );
  });
});
