import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type CardPresence, nextPresence, readerLost } from '#adapters/pcsc/card-presence.ts';
import { pcscFault } from '#adapters/pcsc/pcsc-error.ts';
import { ReaderBoard } from '#adapters/pcsc/reader-board.ts';
import { Fault } from '#core/fault.ts';
import type { ReaderStatus } from '#ports/card-reader.ts';

/** winscard.h */
const bits = { unavailable: 0x08, empty: 0x10, present: 0x20, exclusive: 0x80, inUse: 0x100, mute: 0x200 };
const changed = 0x02;
const state = (count: number, kind: 'empty' | 'present', more = 0): number =>
  ((count << 16) | bits[kind] | changed | more) >>> 0;

describe('the presence of a card', () => {
  const present: CardPresence = { kind: 'present', count: 5 };
  const empty: CardPresence = { kind: 'empty', count: 4, uncounted: false };
  /** as a reset that failed left it: the removal of card 5 is told, and not counted */
  const uncounted: CardPresence = { kind: 'empty', count: 5, uncounted: true };

  test.each([
    ['a card at the start', { kind: 'unknown' } as const, state(1, 'present'), ['inserted']],
    ['no card at the start', { kind: 'unknown' } as const, state(0, 'empty'), []],
    ['an insertion', empty, state(5, 'present'), ['inserted']],
    ['a removal', present, state(6, 'empty'), ['removed']],
    ['a card replaced between two looks', present, state(7, 'present'), ['removed', 'inserted']],
    ['a card that came and went', empty, state(6, 'empty'), ['inserted', 'removed']],
    ['another use of the same card', present, state(5, 'present', bits.exclusive | bits.inUse), []],
    ['a card that is mute', empty, state(5, 'present', bits.mute), ['inserted']],
    ['a state older than the last', present, state(4, 'empty'), []],
    ['a reset that failed', present, state(5, 'empty'), ['removed']],
    ['the removal counted that was told before', uncounted, state(6, 'empty'), []],
    ['the card back that a failed reset had hidden', uncounted, state(5, 'present'), ['inserted']],
    ['the next card after a failed reset', uncounted, state(7, 'present'), ['inserted']],
    ['a card that came and went after a failed reset', uncounted, state(8, 'empty'), ['inserted', 'removed']],
    ['a card that came, with a reset that failed', empty, state(5, 'empty'), ['inserted', 'removed']],
    [
      'the counter starting over',
      { kind: 'present', count: 0xffff } as const,
      state(0, 'empty'),
      ['removed'],
    ],
  ])('%s', (_what, before, seen, changes) => {
    expect(nextPresence(before, seen).changes).toEqual(changes);
  });

  test('is in doubt where the state says empty and the counter does not', () => {
    expect(nextPresence(present, state(5, 'empty'))).toMatchObject({ changes: ['removed'], doubtful: true });
    expect(nextPresence({ kind: 'unknown' }, state(3, 'empty')).doubtful).toBe(true);
    expect(nextPresence({ kind: 'unknown' }, state(2, 'empty')).doubtful).toBe(false);
    expect(nextPresence(present, state(6, 'empty')).doubtful).toBe(false);
    expect(nextPresence(uncounted, state(6, 'empty')).doubtful).toBe(false);
    expect(nextPresence(uncounted, state(7, 'empty')).doubtful).toBe(true);
    expect(nextPresence(empty, state(5, 'empty')).doubtful).toBe(true);
    expect(nextPresence(present, state(7, 'empty')).doubtful).toBe(true);
  });

  test('tells a removal once, whether the state or the counter shows it first', () => {
    const failedReset = nextPresence(present, state(5, 'empty'));
    const counted = nextPresence(failedReset.presence, state(6, 'empty'));
    expect([...failedReset.changes, ...counted.changes]).toEqual(['removed']);
    expect(counted.presence).toEqual(nextPresence(present, state(6, 'empty')).presence);
  });

  test('insertions and removals alternate, whatever is seen', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(0xffff), fc.boolean())), (seen) => {
        let presence: CardPresence = { kind: 'unknown' };
        let inside = false;
        for (const [count, there] of seen) {
          const step = nextPresence(presence, state(count, there ? 'present' : 'empty'));
          presence = step.presence;
          for (const change of step.changes) {
            expect(change).toBe(inside ? 'removed' : 'inserted');
            inside = !inside;
          }
          expect(presence.kind === 'present').toBe(inside);
        }
      }),
    );
  });

  test('says nothing of a reader that is gone', () => {
    expect(readerLost(state(1, 'empty', bits.unavailable))).toBe(true);
    expect(readerLost(state(1, 'present'))).toBe(false);
  });
});

describe('errors of PC/SC', () => {
  test.each([
    ['SCardTransmit error: Card was removed.(0x80100069)', 'card-removed'],
    ['SCardTransmit error: Transaction failed.(0x80100016)', 'card-removed'],
    ['SCardConnect error: Sharing violation.(0x8010000b)', 'reader-in-use'],
    ['SCardEstablishContext error: Service not available.(0x8010001d)', 'reader-service-absent'],
    ['SCardGetStatusChange error: RPC transport error.(0x80100013)', 'reader-service-absent'],
    ['SCardConnect error: Unknown reader specified.(0x80100009)', 'reader-absent'],
    ['SCardTransmit error: Internal error.(0x80100001)', 'reader-failed'],
    ['something else', 'reader-failed'],
  ])('%s', (message, code) => {
    expect(pcscFault(new Error(message)).code).toBe(code);
  });
});

describe('the board of readers', () => {
  function board(virtualReaders: 'refused' | 'allowed') {
    const changes: ReaderStatus[] = [];
    const made = new ReaderBoard({
      allowed: ['ACS 00 00', 'Virtual PCD 00 00'],
      elsewhere: ['Neighbour 00 00'],
      virtualReaders,
      changed: (status) => changes.push(status),
    });
    const told = () => changes.splice(0).map(({ name, state, fault }) => [name, state, fault?.code]);
    return { made, told };
  }

  test('tells each change once, and the reason', () => {
    const { made, told } = board('refused');
    made.setListed(['ACS 00 00', 'Virtual PCD 00 00', 'Stranger 00 00']);
    expect(told()).toEqual([
      ['ACS 00 00', 'ready', undefined],
      ['Virtual PCD 00 00', 'faulty', 'reader-virtual'],
      ['Stranger 00 00', 'faulty', 'reader-not-allowed'],
    ]);
    made.setListed(['ACS 00 00', 'Virtual PCD 00 00', 'Stranger 00 00']);
    expect(told()).toEqual([]);
    made.setReaderFault('ACS 00 00', new Fault('reader-failed', 'stuck'));
    expect(told()).toEqual([['ACS 00 00', 'faulty', 'reader-failed']]);
    made.setListed(['Virtual PCD 00 00']);
    expect(told()).toEqual([
      ['ACS 00 00', 'absent', 'reader-absent'],
      ['Stranger 00 00', 'absent', 'reader-absent'],
    ]);
    made.setListed(['ACS 00 00', 'Virtual PCD 00 00']);
    expect(told()).toEqual([['ACS 00 00', 'ready', undefined]]);
  });

  test('says nothing of a reader that another terminal uses', () => {
    const { made, told } = board('allowed');
    made.setListed(['ACS 00 00', 'Virtual PCD 00 00', 'Neighbour 00 00']);
    expect(told().map(([name]) => name)).toEqual(['ACS 00 00', 'Virtual PCD 00 00']);
    expect(made.usable('Neighbour 00 00')).toBe(false);
  });

  test('uses only what is allowed by name', () => {
    const { made } = board('allowed');
    expect(made.usable('ACS 00 00')).toBe(true);
    expect(made.usable('ACS 00 0')).toBe(false);
    expect(made.usable('Virtual PCD 00 00')).toBe(true);
    expect(made.usable('Virtual PCD 00 01')).toBe(false);
    expect(board('refused').made.usable('Virtual PCD 00 00')).toBe(false);
  });
});
