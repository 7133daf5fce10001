import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { toHex } from '#core/bytes/bytes.ts';
import { digest } from '#core/crypto/digest.ts';
import { chainEntry, parseEntry } from '#core/journal/entry.ts';
import { erasureBody } from '#core/journal/erasure.ts';
import { forgettingBody } from '#core/journal/forgetting.ts';
import { type JournalItem, type VerifyOptions, verifyJournal } from '#core/journal/verify.ts';
import { publicKey, sampleJournal, sampleRecord, signedCheckpoint } from './sample-journal.ts';

const options: VerifyOptions = {
  publicKeys: [publicKey],
  heads: [],
  personalIncluded: true,
  checkpointEveryEntries: 5,
};
const count = 17;
const journal = sampleJournal(count);
type Entry = Extract<JournalItem, { kind: 'entry' }>;
const isEntry = (item: JournalItem): item is Entry => item.kind === 'entry';
const entryIndexes = journal.flatMap((item, index) => (isEntry(item) ? [index] : []));
const anyEntry = fc.constantFrom(...entryIndexes);
const sequenceAt = (index: number) => {
  const item = journal[index];
  return item && isEntry(item) ? (parseEntry(item.raw)?.sequence ?? 0) : 0;
};
const hashOf = (sequence: number, items = journal) => {
  const entry = items.filter(isEntry)[sequence - 1];
  if (!entry) throw new Error(`no entry ${sequence}`);
  return toHex(entry.hash);
};
const verify = (items: readonly JournalItem[], changed: Partial<VerifyOptions> = {}) =>
  verifyJournal(items, { ...options, ...changed });

/** Whether some finding concerns the entry. */
const names = (report: Awaited<ReturnType<typeof verify>>, sequence: number) =>
  report.findings.some((finding) => finding.fromSequence <= sequence && sequence <= finding.toSequence);

const flip = (bytes: Uint8Array, at: number, mask: number) =>
  bytes.map((byte, index) => (index === at % bytes.length ? byte ^ mask : byte));

describe('a journal left alone', () => {
  test('is sound, and vouched for to its last checkpoint and outside head', async () => {
    const head = { sequence: 16, hash: hashOf(16) };
    const report = await verify(journal, { heads: [head] });
    expect(report.findings).toEqual([]);
    expect(report).toMatchObject({ sound: true, entries: count, checkpoints: 3 });
    expect(report.chains).toEqual([
      {
        terminal: 'gate',
        incarnation: 'first',
        lastSequence: count,
        lastHash: hashOf(count),
        segments: [{ fromSequence: 1, toSequence: count, signedThrough: 15, headThrough: 16 }],
      },
    ]);
  });

  test('tells a key found in the journal itself from one given from outside', async () => {
    const report = await verify(journal, { publicKeys: [] });
    expect(report.sound).toBe(true);
    expect(report.chains[0]?.segments).toEqual([
      { fromSequence: 1, toSequence: count, selfSignedThrough: 15 },
    ]);
  });

  test('may be empty, and may have several incarnations', async () => {
    expect(await verify([])).toMatchObject({ sound: true, entries: 0, chains: [] });
    const report = await verify([...journal, ...sampleJournal(7, 5, 'second')], {
      heads: [{ incarnation: 'second', sequence: 6, hash: hashOf(6, sampleJournal(7, 5, 'second')) }],
    });
    expect(report.findings).toEqual([]);
    expect(report.chains.map((chain) => chain.lastSequence)).toEqual([count, 7]);
  });
});

describe('every change is found and named', () => {
  test('a single changed byte anywhere in an entry', async () => {
    const part = fc.constantFrom('raw' as const, 'hash' as const);
    await fc.assert(
      fc.asyncProperty(
        anyEntry,
        part,
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        async (index, key, at, mask) => {
          const items = journal.map((item, i) =>
            i === index && isEntry(item) ? { ...item, [key]: flip(item[key], at, mask) } : item,
          );
          const report = await verify(items);
          expect(report.sound).toBe(false);
          expect(report.findings[0]).toMatchObject({
            kind: 'entry-changed',
            fromSequence: sequenceAt(index),
            toSequence: sequenceAt(index),
          });
        },
      ),
      { numRuns: 500 },
    );
  });

  test('a changed entry stored with its new hash', async () => {
    // the last entry has nothing behind it that would tell
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...entryIndexes.slice(0, -1)), async (index) => {
        const report = await verify(journal.map((item, i) => (i === index ? rehashed(item) : item)));
        expect(names(report, sequenceAt(index))).toBe(true);
      }),
    );
  });

  test('a single changed byte of a personal value, its salt or its field', async () => {
    const personal = entryIndexes.filter((index) => sequenceAt(index) % 3 !== 0);
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...personal),
        fc.constantFrom(0, 1, 2),
        fc.nat(),
        async (index, what, at) => {
          const items = journal.map((item, i) => {
            if (i !== index || !isEntry(item)) return item;
            return {
              ...item,
              personal: item.personal.map((value) => ({
                field: what === 0 ? `${value.field}x` : value.field,
                salt: what === 1 ? flip(value.salt, at, 1) : value.salt,
                value: what === 2 ? `${value.value}0` : value.value,
              })),
            };
          });
          const report = await verify(items);
          expect(report.findings[0]).toMatchObject({
            kind: 'personal-changed',
            fromSequence: sequenceAt(index),
          });
        },
      ),
    );
  });

  test('a single changed byte of a checkpoint or its signature', async () => {
    const checkpoints = journal.flatMap((item, index) => (item.kind === 'checkpoint' ? [index] : []));
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...checkpoints),
        fc.constantFrom('raw' as const, 'signature' as const),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        async (index, key, at, mask) => {
          const items = journal.map((item, i) =>
            i === index && item.kind === 'checkpoint' ? { ...item, [key]: flip(item[key], at, mask) } : item,
          );
          const report = await verify(items);
          expect(report.findingCount).toBe(1);
          expect(report.findings[0]?.kind).toMatch(/^checkpoint-/);
        },
      ),
      { numRuns: 300 },
    );
  });

  test('entries removed', async () => {
    const inner = fc.tuple(fc.integer({ min: 1, max: count - 1 }), fc.integer({ min: 1, max: 5 }));
    await fc.assert(
      fc.asyncProperty(inner, async ([from, length]) => {
        const to = Math.min(from + length - 1, count - 1);
        const items = journal.filter((_, index) => {
          const sequence = sequenceAt(index);
          return sequence < from || sequence > to;
        });
        const report = await verify(items);
        const missing = report.findings.find((finding) => finding.kind === 'entries-missing');
        expect(missing).toMatchObject({ fromSequence: from, toSequence: to });
      }),
    );
  });

  test('two entries swapped', async () => {
    await fc.assert(
      fc.asyncProperty(anyEntry, anyEntry, async (a, b) => {
        fc.pre(a < b);
        const items = [...journal];
        [items[a], items[b]] = [journal[b] as JournalItem, journal[a] as JournalItem];
        const report = await verify(items);
        expect(names(report, sequenceAt(a))).toBe(true);
        expect(report.findings.some((finding) => finding.kind === 'entry-misplaced')).toBe(true);
      }),
    );
  });

  test('an entry stored twice, or inserted from another journal', async () => {
    const foreign = sampleJournal(count, 5, 'first').map((item) => (isEntry(item) ? rehashed(item) : item));
    await fc.assert(
      fc.asyncProperty(anyEntry, fc.nat(journal.length), fc.boolean(), async (source, at, twice) => {
        const item = (twice ? journal : foreign)[source] as JournalItem;
        const report = await verify([...journal.slice(0, at), item, ...journal.slice(at)]);
        expect(report.sound).toBe(false);
        expect(names(report, sequenceAt(source))).toBe(true);
      }),
    );
  });

  test('the end cut off: seen by a checkpoint left behind or by a head kept outside', async () => {
    const cut = journal.slice(0, entryIndexes[12]);
    expect((await verify(cut)).sound).toBe(true);
    const report = await verify(cut, { heads: [{ sequence: 16, hash: hashOf(16) }] });
    expect(report.findings).toMatchObject([{ kind: 'end-missing', fromSequence: 13, toSequence: 16 }]);
    const last = journal.filter((item) => item.kind === 'checkpoint').at(-1) as JournalItem;
    expect((await verify([...cut, last])).findings).toMatchObject([
      { kind: 'end-missing', fromSequence: 13, toSequence: 15 },
    ]);
  });

  test('a whole journal rewritten contradicts a head kept outside and lacks the device signature', async () => {
    const rewritten = sampleJournal(count, 5, 'first').map((item) => item);
    const other = sampleJournal(count, 5, 'other');
    expect(
      (await verify(rewritten, { heads: [{ sequence: 9, hash: '0'.repeat(64) }] })).findings,
    ).toMatchObject([{ kind: 'head-contradicts', fromSequence: 9, toSequence: 9 }]);
    const absent = { incarnation: 'first', sequence: 3, hash: hashOf(3) };
    expect((await verify(other, { heads: [absent] })).findings).toMatchObject([
      { kind: 'end-missing', incarnation: 'first', fromSequence: 1, toSequence: 3 },
    ]);
    // what a burst writes while a checkpoint is being signed is in order
    expect((await verify(sampleJournal(1_005, 9_999))).sound).toBe(true);
    expect((await verify(sampleJournal(1_006, 9_999))).findings).toMatchObject([
      { kind: 'checkpoint-missing', fromSequence: 1, toSequence: 1_006 },
    ]);
  });
});

describe('vouching', () => {
  test('starts again behind damage that a later checkpoint still encloses', async () => {
    const items = journal.map((item, index) =>
      index === entryIndexes[6] && isEntry(item) ? { ...item, raw: flip(item.raw, 3, 1) } : item,
    );
    const report = await verify(items);
    expect(report.findingCount).toBe(1);
    expect(report.chains[0]?.segments).toEqual([
      { fromSequence: 1, toSequence: 6, signedThrough: 5 },
      { fromSequence: 8, toSequence: count, signedThrough: 15 },
    ]);
  });
});

describe('erasure of personal values', () => {
  const erase = (items: readonly JournalItem[], through: number) =>
    items.map((item, index) =>
      isEntry(item) && sequenceAt(index) <= through ? { ...item, personal: [] } : item,
    );

  const withErasure = (ranges: readonly (readonly [number, number])[]) => {
    const position = { terminal: 'gate', incarnation: 'first', sequence: count + 1 };
    const record = { ...sampleRecord(99), kind: 'terminal' as const, body: erasureBody('first', ranges, 3) };
    const entry = chainEntry(record, position, hashOf(count), () => new Uint8Array(16));
    const checkpoint = signedCheckpoint({ ...position, hash: toHex(entry.hash) });
    return [...journal, { kind: 'entry' as const, ...entry }, checkpoint];
  };

  test('leaves the chain sound when the journal records it', async () => {
    const report = await verify(erase(withErasure([[1, 8]]), 8));
    expect(report.findings).toEqual([]);
    expect(report.erased).toEqual([{ incarnation: 'first', ranges: [[1, 8]] }]);
  });

  test('is reported where the journal does not account for it', async () => {
    const report = await verify(erase(withErasure([[1, 4]]), 8));
    expect(report.findings).toMatchObject([{ kind: 'personal-missing', fromSequence: 5, toSequence: 8 }]);
    expect((await verify(erase(journal, 2))).findings).toMatchObject([
      { kind: 'personal-missing', fromSequence: 1, toSequence: 2 },
    ]);
  });

  test('is no matter where personal values were left out on purpose', async () => {
    expect((await verify(erase(journal, count), { personalIncluded: false })).sound).toBe(true);
  });
});

/** The entry changed by someone who also stores the fitting hash. */
function rehashed(item: JournalItem): JournalItem {
  if (!isEntry(item)) return item;
  const raw = new TextEncoder().encode(new TextDecoder().decode(item.raw).replace('"north"', '"south"'));
  return { ...item, raw, hash: digest('sha-256', raw) };
}

describe('a journal that has let go of its first entries', () => {
  /** through 8, of which entry 18 tells as through 10 */
  const told = (through = 10, hash = hashOf(through)) => {
    const record = sampleRecord(3);
    const body = forgettingBody({ incarnation: 'first', sequence: through, hash }, 'retention');
    const position = { terminal: 'gate', incarnation: 'first', sequence: count + 1 };
    const { personal: _, ...rest } = { ...record, kind: 'terminal' as const, body };
    return chainEntry(rest, position, hashOf(count), () => new Uint8Array(16));
  };
  const kept = (behind: number) => journal.slice(entryIndexes[behind] ?? 0);
  const forgotten = (sequence: number, hash = hashOf(sequence)): JournalItem => ({
    kind: 'forgotten',
    terminal: 'gate',
    incarnation: 'first',
    sequence,
    hash,
  });
  const letGo = (sequence: number, entry = told()): JournalItem[] => [
    forgotten(sequence),
    ...kept(sequence),
    { kind: 'entry', ...entry },
  ];

  test('is sound, and says so, also while it still lets go of some', async () => {
    for (const sequence of [8, 10]) {
      const report = await verify(letGo(sequence));
      expect(report).toMatchObject({ sound: true, entries: count + 1 - sequence });
      expect(report.chains).toMatchObject([
        { forgottenThrough: sequence, segments: [{ fromSequence: sequence + 1, signedThrough: 15 }] },
      ]);
    }
  });

  test('is checked against heads kept outside as far as it can be', async () => {
    const head = (sequence: number, hash = hashOf(sequence)) => ({ heads: [{ sequence, hash }] });
    for (const sequence of [3, 8, 12]) expect((await verify(letGo(8), head(sequence))).findings).toEqual([]);
    for (const sequence of [8, 12]) {
      const report = await verify(letGo(8), head(sequence, hashOf(1)));
      expect(report.findings).toMatchObject([{ kind: 'head-contradicts', fromSequence: sequence }]);
    }
  });

  test('is found out where it says another entry was the last', async () => {
    const other = await verify([forgotten(8, hashOf(1)), ...letGo(8).slice(1)]);
    expect(other.findings).toMatchObject([{ kind: 'chain-broken', toSequence: 9 }]);
    const lied = await verify(letGo(10, told(10, hashOf(1))));
    expect(lied.findings).toMatchObject([{ kind: 'chain-broken', fromSequence: 10 }]);
  });

  test('is found out where no entry records that, as far as none does', async () => {
    const missing = { kind: 'entries-missing', fromSequence: 1, toSequence: 8 };
    expect((await verify([forgotten(8), ...kept(8)])).findings).toMatchObject([missing]);
    expect((await verify(letGo(8, told(5)))).findings).toMatchObject([{ ...missing, fromSequence: 6 }]);
    expect((await verify(kept(8))).findings).toMatchObject([{ kind: 'entries-missing' }]);
    expect(await verify([forgotten(8), ...kept(8)], { forgettingRecorded: false })).toMatchObject({
      sound: true,
    });
  });

  test('says nothing amid what is there', async () => {
    const items = letGo(2, told());
    const cut = [
      ...items.slice(0, 4),
      forgotten(9),
      ...items.slice(items.indexOf(kept(9)[0] as JournalItem)),
    ];
    expect((await verify(cut)).findings).toMatchObject([{ kind: 'entries-missing' }]);
  });
});
