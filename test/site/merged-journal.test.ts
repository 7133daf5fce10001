import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MergedJournal } from '#simulators/site/merged-journal.ts';
import type { StoredEntryView, TerminalJournal } from '#simulators/site/site-parts.ts';

class GrowingJournal implements TerminalJournal {
  readonly entries: StoredEntryView[] = [];

  grow(atMs: number): number {
    const sequence = this.entries.length + 1;
    this.entries.push({ sequence, atMs, kind: 'door', hash: '', body: {} });
    return sequence;
  }

  async newest() {
    return this.entries.length;
  }

  async after(sequence: number, limit: number) {
    return this.entries.slice(sequence, sequence + limit);
  }

  async before(sequence: number, limit: number) {
    return this.entries.slice(Math.max(0, sequence - 1 - limit), sequence - 1);
  }

  async verify() {
    return { sound: true, entries: this.entries.length, signedThrough: 1, problems: [], tookMs: 2 };
  }
}

const names = ['front', 'back'] as const;

test('shows every entry of every terminal once, those of one terminal in their order, old ones by their time', async () => {
  const course = fc.array(fc.record({ name: fc.constantFrom(...names), passMs: fc.nat(3) }), {
    maxLength: 40,
  });
  await fc.assert(
    fc.asyncProperty(course, course, fc.integer({ min: 1, max: 9 }), async (earlier, later, limit) => {
      const journals = new Map(names.map((name) => [name, new GrowingJournal()]));
      let atMs = 0;
      const grow = ({ name, passMs }: (typeof earlier)[number]) => {
        atMs += passMs;
        return journals.get(name)?.grow(atMs) ?? 0;
      };
      for (const step of earlier) grow(step);
      const merged = new MergedJournal({ journals });
      await merged.start();
      let last = earlier.length;
      for (const step of later) {
        last = merged.position({ terminal: step.name, sequence: grow(step) });
      }
      expect(last).toBe(earlier.length + later.length);

      const shown = [];
      let before: number | undefined;
      for (;;) {
        const page = await merged.before(before, limit);
        if (page.length === 0) break;
        shown.unshift(...page);
        before = page[0]?.position;
      }
      expect(shown.map(({ position }) => position)).toEqual(Array.from({ length: last }, (_, at) => at + 1));
      expect(await merged.after(0, last + 1)).toEqual(shown);
      for (const name of names) {
        const own = shown.filter(({ terminal }) => terminal === name).map(({ sequence }) => sequence);
        expect(own).toEqual(journals.get(name)?.entries.map(({ sequence }) => sequence));
      }
      const times = shown.slice(0, earlier.length).map((entry) => entry.atMs);
      expect(times).toEqual(times.toSorted((a, b) => a - b));
      expect(shown.slice(earlier.length).map(({ terminal }) => terminal)).toEqual(
        later.map(({ name }) => name),
      );
      expect(await merged.verify()).toMatchObject({
        sound: true,
        entries: last,
        signedThrough: 2,
        tookMs: 2,
      });
    }),
    { numRuns: 60 },
  );
});
