import { pino } from 'pino';
import { beforeEach, describe, expect, it } from 'vitest';
import type { JournalSpace } from '#ports/journal-append.ts';
import type { ForgettingRequest, JournalKeeping } from '#ports/journal-keeping.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';
import { JournalRetention } from '#terminal/journal-retention.ts';

const startMs = 1_775_000_000_000;
const dayMs = 86_400_000;
const retentionMs = 90 * dayMs;

/** A journal of one entry a day, of which all but the newest `young` may be let go of. */
class DailyJournal {
  readonly done: string[] = [];
  entries = 200;
  forgotten = 0;
  reserved = 1_000;
  stored = 200;
  allowed = false;
  fails = false;
  readonly #clock: SimulatedClock;

  constructor(clock: SimulatedClock) {
    this.#clock = clock;
  }

  keeping(): JournalKeeping & { space(): Promise<JournalSpace> } {
    return {
      onGrowth: () => undefined,
      uploaded: async () => undefined,
      allowForgetting: () => {
        this.allowed = true;
      },
      space: async () => ({
        entries: this.entries - this.forgotten,
        reservedBytes: this.reserved,
        usedBytes: this.entries - this.forgotten,
        capacityEntries: this.reserved,
        level: 'ample',
      }),
      planForgetting: async ({ most, olderThanMs }: ForgettingRequest) => {
        const aged = olderThanMs === undefined ? this.stored : this.#olderThan(olderThanMs);
        const through = Math.min(this.stored, aged, this.forgotten + most);
        if (through <= this.forgotten) return undefined;
        const head = { incarnation: 'first', sequence: through, hash: 'AB' };
        return { through, count: through - this.forgotten, head };
      },
      forgetSome: async (through) => {
        if (this.fails) throw new Error('no disk');
        this.forgotten = Math.min(through, this.forgotten + 30);
        this.done.push(`forgot ${this.forgotten}`);
        return this.forgotten >= through;
      },
    };
  }

  /** Entries are a day apart; the last one is of the start. */
  #olderThan(atMs: number): number {
    return Math.max(0, Math.floor(200 - (startMs - atMs) / dayMs - (this.#clock.utcMs() < 0 ? 1 : 0)));
  }
}

let clock: SimulatedClock;
let journal: DailyJournal;
let retention: JournalRetention;
let recorded: { readonly [name: string]: unknown }[];

beforeEach(() => {
  clock = new SimulatedClock({ utcMs: startMs });
  journal = new DailyJournal(clock);
  recorded = [];
  retention = new JournalRetention({
    journal: journal.keeping(),
    retentionMs,
    record: async ({ body }) => {
      recorded.push(body);
      journal.done.push(`recorded ${body.through ?? body.alarm}`);
    },
    pause: async () => undefined,
    clock,
    log: pino({ level: 'silent' }),
  });
});

describe('how long entries stay', () => {
  it('lets go of what is older, in steps, once that is recorded', async () => {
    retention.start();
    expect(journal.allowed).toBe(true);
    await clock.advanceAsync(61_000);
    expect(journal.done).toEqual(['recorded 110', 'forgot 30', 'forgot 60', 'forgot 90', 'forgot 110']);
    expect(recorded).toEqual([
      { event: 'entries-forgotten', incarnation: 'first', through: 110, hash: 'AB', why: 'retention' },
    ]);
    // each time costs an entry: not every minute
    await clock.advanceAsync(5 * 3_600_000);
    expect(recorded).toHaveLength(1);
    await clock.advanceAsync(dayMs);
    expect(recorded.length).toBe(2);
    expect(journal.forgotten).toBe(111);
    await retention.stop();
  });

  it('lets go of nothing by a clock that may be wrong', async () => {
    clock.trust(false);
    retention.start();
    await clock.advanceAsync(dayMs);
    expect(journal.done).toEqual([]);
    clock.trust(true);
    await clock.advanceAsync(61_000);
    expect(journal.forgotten).toBe(111);
    await retention.stop();
  });

  it('makes room rather than have none, also by a wrong clock, and says so while that lasts', async () => {
    clock.trust(false);
    journal.reserved = 210;
    retention.start();
    await clock.advanceAsync(61_000);
    expect(journal.done[0]).toBe('recorded journal-retention');
    expect(200 - journal.forgotten).toBeLessThanOrEqual(0.85 * 210);
    expect(recorded.slice(1).every(({ why }) => why === 'space')).toBe(true);
    const steps = journal.done.length;
    await clock.advanceAsync(600_000);
    expect(journal.done).toHaveLength(steps);
    journal.reserved = 400;
    await clock.advanceAsync(61_000);
    expect(recorded.at(-1)).toEqual({ alarm: 'journal-retention', on: false });
    await retention.stop();
  });

  it('lets go of nothing that the server does not have, however full the disk is', async () => {
    journal.stored = 0;
    journal.reserved = 200;
    retention.start();
    await clock.advanceAsync(dayMs);
    expect(journal.done).toEqual([]);
    await retention.stop();
  });

  it('tries again where it could not', async () => {
    journal.fails = true;
    retention.start();
    await clock.advanceAsync(61_000);
    expect(journal.forgotten).toBe(0);
    journal.fails = false;
    await clock.advanceAsync(6 * 3_600_000 + 61_000);
    expect(journal.forgotten).toBe(110);
    await retention.stop();
    const { forgotten } = journal;
    await clock.advanceAsync(10 * dayMs);
    expect(journal.forgotten).toBe(forgotten);
  });
});
