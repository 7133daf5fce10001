import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PacketSizes } from '#core/sync/packet-sizes.ts';

/** A packet of some kind with `length` bytes behind its length. */
function packet(kind: number, length: number): number[] {
  const bytes = [kind];
  let left = length;
  do {
    bytes.push((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
    left >>= 7;
  } while (left > 0);
  return [...bytes, ...new Array<number>(length).fill(0xff)];
}

function allowed(limit: number, stream: readonly number[], cuts: readonly number[]): boolean {
  const sizes = new PacketSizes(limit);
  let from = 0;
  for (const cut of [
    ...cuts.map((part) => Math.floor(part * stream.length)).sort((a, b) => a - b),
    stream.length,
  ]) {
    if (!sizes.allow(Uint8Array.from(stream.slice(from, cut)))) return false;
    from = cut;
  }
  return true;
}

const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 8 });

describe('sizes of packets', () => {
  it('are allowed up to the limit and no further, however the stream is cut', () => {
    const lengths = fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(
        lengths,
        fc.integer({ min: 0, max: 400 }),
        fc.integer({ min: 0, max: 255 }),
        cuts,
        (all, limit, kind, at) => {
          const stream = all.flatMap((length) => packet(kind, length));
          expect(allowed(limit, stream, at)).toBe(all.every((length) => length <= limit));
        },
      ),
    );
  });

  it.each([
    ['256 MB', [0x30, 0xff, 0xff, 0xff, 0x7f]],
    ['a fifth byte of length', [0x30, 0x80, 0x80, 0x80, 0x80, 0x00]],
  ])('%s is known before it comes', (_what, bytes) => {
    expect(allowed(262_144, bytes, [])).toBe(false);
    expect(allowed(2 ** 28, bytes, [])).toBe(_what === '256 MB');
  });
});
