import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { PresentedCard } from '#ports/card-reader.ts';
import { deckCard } from '../contracts/deck.ts';
import { ReaderEvents } from '../contracts/reader-events.ts';
import { openPcscdFixture, type PcscdFixture, readerNames } from './pcscd-fixture.ts';

export interface EnduranceOptions {
  readonly insertions: number;
  readonly restarts: number;
  readonly progress: (text: string) => void;
}

export interface EnduranceReport {
  readonly insertions: number;
  readonly restarts: number;
  readonly missedTaps: number;
  /** the longest from pcscd being up again to the tap of the card that was waiting */
  readonly slowestRecoveryMs: number;
  readonly descriptorGrowth: number;
  readonly memoryGrowthMiB: number;
  readonly childMemoryGrowthMiB: number;
}

/** how long a tap may take to be told; then it counts as missed */
const tapLimitMs = 5_000;
/** what the runtime takes at first is not growth */
const settlingTaps = 20;

const [readerName] = readerNames;

interface Usage {
  readonly descriptors: number;
  readonly residentMiB: number;
}

/** Collected garbage is not growth: the flag makes `gc` reachable in a context of its own. */
setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

function usage(): Usage {
  collectGarbage();
  return {
    descriptors: readdirSync('/proc/self/fd').length,
    residentMiB: process.memoryUsage.rss() / 2 ** 20,
  };
}

async function residentMiBOf(pid: number | undefined): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1_024;
}

/** A reading of the next card, or undefined when it is not told in time; `progress` says what came instead. */
async function tapInTime(
  events: ReaderEvents,
  progress: EnduranceOptions['progress'],
): Promise<PresentedCard | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), tapLimitMs);
  });
  const card = await Promise.race([events.presented(), late]);
  clearTimeout(timer);
  if (card?.outcome.kind === 'reading') return card;
  progress(`missed a tap: ${card ? JSON.stringify(card.outcome) : 'nothing was told'}`);
  return undefined;
}

export async function runEndurance({
  insertions,
  restarts,
  progress,
}: EnduranceOptions): Promise<EnduranceReport> {
  const fixture = await openPcscdFixture();
  // the deadlines of a real terminal: a busy machine is slow, and misses nothing
  const readers = await fixture.readers({ apduDeadlineMs: 1_000, tapDeadlineMs: 3_000 });
  const events = new ReaderEvents();
  await readers.start(events);
  const card = await deckCard('employee');
  const link = fixture.link(readerName);
  let missedTaps = 0;
  const insertAndRemove = async (): Promise<void> => {
    await link.insert(card);
    const tap = await tapInTime(events, progress);
    if (tap) await tap.end();
    else missedTaps += 1;
    link.remove();
    await events.removed();
  };
  for (let i = 0; i < Math.min(settlingTaps, insertions); i += 1) await insertAndRemove();
  const before = usage();
  const childBefore = await residentMiBOf(readers.childPid());
  for (let i = 1; i <= insertions; i += 1) {
    await insertAndRemove();
    events.forget();
    if (i % 100 === 0) progress(`${i} insertions, ${missedTaps} missed`);
  }
  const childMemoryGrowthMiB = (await residentMiBOf(readers.childPid())) - childBefore;
  let slowestRecoveryMs = 0;
  for (let i = 1; i <= restarts; i += 1) {
    const recovery = await restartUnderCard({ fixture, events, progress }, () => link.insert(card));
    if (recovery === undefined) missedTaps += 1;
    else slowestRecoveryMs = Math.max(slowestRecoveryMs, recovery);
    link.remove();
    await events.removed();
    events.forget();
    if (i % 10 === 0)
      progress(`${i} restarts, ${missedTaps} missed, slowest ${Math.round(slowestRecoveryMs)} ms`);
  }
  const after = usage();
  await readers.stop();
  await fixture.close();
  return {
    insertions,
    restarts,
    missedTaps,
    slowestRecoveryMs: Math.round(slowestRecoveryMs),
    descriptorGrowth: after.descriptors - before.descriptors,
    memoryGrowthMiB: Math.round((after.residentMiB - before.residentMiB) * 10) / 10,
    childMemoryGrowthMiB: Math.round(childMemoryGrowthMiB * 10) / 10,
  };
}

/** Restarts pcscd, holds a card up at once, and says how long after the start its tap came. */
async function restartUnderCard(
  parts: {
    readonly fixture: PcscdFixture;
    readonly events: ReaderEvents;
    readonly progress: EnduranceOptions['progress'];
  },
  insert: () => Promise<void>,
): Promise<number | undefined> {
  const { fixture, events, progress } = parts;
  await fixture.restartPcscd();
  const up = performance.now();
  await insert();
  const tap = await tapInTime(events, progress);
  await tap?.end();
  return tap && performance.now() - up;
}
