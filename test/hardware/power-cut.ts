import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pass } from 'node:timers/promises';
import { holderList, holders } from './cards.ts';
import { readers } from './configuration.ts';
import { type Device, withFolder } from './device.ts';
import { LineWatch } from './lines.ts';
import type { Machine } from './machine.ts';
import { Recollection } from './recollection.ts';
import type { Report } from './report.ts';
import { type Shown, tap } from './tap.ts';
import { VolatileDisk } from './volatile-disk.ts';

/** What was seen from outside before the power went, in order. */
export interface Witnessed {
  readonly slot: 0 | 1;
  readonly holder: string;
  readonly shown: Shown;
}

/** the longest that cards are held up before the power goes, in milliseconds; an import needs its time to come into force */
const longestMs = 20_000;
const longestImportMs = 60_000;
/** what each strike does when it opens, in the order of the readers */
const unlocked = readers.map(({ strike }) => ({ line: strike, level: 1 }));
/** so few that some come again */
const fewPeople = 5;

interface Cut {
  readonly folder: string;
  /** whether a list of holders is imported meanwhile */
  readonly importing: boolean;
  /** whether the terminal does not wait for the disk */
  readonly weakened: boolean;
}

/**
 * Cuts the power at random moments under continuous taps, half of them while a list of holders is imported, and holds
 * what the disk keeps against what was seen. `weakened`: the terminal does not wait for the disk, which must show.
 */
export async function powerCuts(
  device: Device,
  report: Report,
  { cuts, weakened }: { readonly cuts: number; readonly weakened: boolean },
): Promise<void> {
  const found = { taps: 0, openings: 0, lost: 0, flushes: 0, policies: { old: 0, new: 0 } };
  for (let cut = 1; cut <= cuts; cut += 1) {
    const importing = cut % 2 === 0;
    await report.show(`power cut ${cut} of ${cuts}${importing ? ', during an import' : ''}`, async () => {
      const seen = await withFolder((folder) => cutOnce(device, { folder, importing, weakened }));
      found.taps += seen.taps;
      found.openings += seen.openings;
      found.lost += seen.lost;
      found.flushes += seen.flushes;
      found.policies[seen.group] += 1;
      return `${seen.taps} taps, ${seen.openings} openings, ${seen.entries} entries, policy ${seen.group}`;
    });
  }
  await report.show('power cuts: there was something to be lost', async () => {
    const { taps, openings, lost, flushes, policies } = found;
    if (openings < cuts) throw new Error(`${openings} openings in ${cuts} cuts`);
    return `${taps} taps, ${openings} openings, ${flushes} flushes, ${lost} writes lost, policy ${policies.old} times old, ${policies.new} times new`;
  });
}

async function cutOnce(device: Device, { folder, importing, weakened }: Cut) {
  const disk = new VolatileDisk(folder);
  device.copyData(disk.image);
  const copy = join(folder, 'seen');
  device.copyData(copy);
  const machine = await device.start('resumed', folder, disk.options(copy));
  const watch = new LineWatch(
    machine,
    readers.flatMap(({ strike, granted, denied }) => [strike, granted, denied]),
  );
  try {
    if (weakened) await weaken(machine);
    const witnessed = tapOnAndOn(watch);
    if (importing) await beginImport(machine);
    await watch.next(unlocked, 0);
    await pass(Math.random() * (importing ? longestImportMs : longestMs));
    const opened = unlocked.map(
      ({ line, level }) => watch.changes.filter((it) => it.line === line && it.level === level).length,
    );
    const before = [...witnessed];
    await machine.cut();
    watch.stop();
    const lost = disk.losePower(Math.random() < 0.5 ? () => false : () => Math.random() < 0.5);
    const recollection = await Recollection.of(recover(disk.image, folder));
    recollection.holdAgainst(before, opened);
    const openings = opened.reduce((sum, of) => sum + of, 0);
    return {
      ...lost,
      openings,
      taps: before.length,
      entries: recollection.entries,
      group: recollection.group,
    };
  } finally {
    watch.stop();
    await machine.cut();
  }
}

/** Holds cards of a few people up at both readers, one after the other, until the machine dies; what came of it so far. */
function tapOnAndOn(watch: LineWatch): readonly Witnessed[] {
  const witnessed: Witnessed[] = [];
  const tapping = async (slot: 0 | 1): Promise<never> => {
    for (;;) {
      const holder = holders[Math.floor(Math.random() * fewPeople)] ?? '';
      witnessed.push({ slot, holder, shown: await tap(watch, slot, holder) });
    }
  };
  // what is under way when the power goes never ends
  void Promise.race([tapping(0), tapping(1)]);
  return witnessed;
}

async function beginImport(machine: Machine): Promise<void> {
  await machine.write('/tmp/new.csv', holderList('new'));
  machine.follow(
    'cd /opt/kazasu && scripts/kazasu policy import /tmp/new.csv --mode complete --database /var/lib/kazasu/policy.sqlite',
    () => undefined,
  );
}

/** Lets the file system find itself again, as a boot does, and takes the state directory out of it. */
function recover(image: string, folder: string): string {
  const checked = spawnSync('e2fsck', ['-p', image], { encoding: 'utf8' });
  // 1: the journal was replayed, or what is left over of deleted files was cleared
  if (checked.status === null || checked.status > 1)
    throw new Error(`the file system is broken: ${checked.stdout}`);
  const state = join(folder, 'state');
  mkdirSync(state);
  execFileSync('debugfs', ['-R', `rdump / ${state}`, image], { stdio: 'ignore' });
  return state;
}

/** Takes the waiting for the disk out of the machine's copy of the terminal. */
async function weaken(machine: Machine): Promise<void> {
  await machine.run(
    "sed -i 's/synchronous = FULL/synchronous = OFF/' /opt/kazasu/src/adapters/sqlite/*.ts && systemctl restart kazasu-terminal",
  );
}
