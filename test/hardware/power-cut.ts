import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pass } from 'node:timers/promises';
import { holderList, holders } from './cards.ts';
import { lines, readers } from './configuration.ts';
import { type Device, newFolder } from './device.ts';
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

/** the longest that cards are held up before the power goes, in milliseconds */
const longestMs = 20_000;

/**
 * Cuts the power at random moments under continuous taps, half of them while a list of holders is imported, and holds
 * what the disk keeps against what was seen. `weakened`: the terminal does not wait for the disk, which must show.
 */
export async function powerCuts(
  device: Device,
  report: Report,
  { cuts, weakened }: { cuts: number; weakened: boolean },
) {
  const found = { taps: 0, openings: 0, lost: 0, flushes: 0, newPolicies: 0 };
  for (let cut = 1; cut <= cuts; cut += 1) {
    await report.show(`power cut ${cut} of ${cuts}${cut % 2 === 0 ? ', during an import' : ''}`, async () => {
      const seen = await cutOnce(device, { importing: cut % 2 === 0, weakened });
      found.taps += seen.witnessed.length;
      found.openings += seen.openings;
      found.lost += seen.lost;
      found.flushes += seen.flushes;
      if (seen.group === 'new') found.newPolicies += 1;
      return `${seen.witnessed.length} taps, ${seen.openings} openings, ${seen.entries} entries, ${seen.lost} writes lost, policy ${seen.group}`;
    });
  }
  await report.show('power cuts: enough was there to be lost', async () => {
    if (found.openings < cuts || found.lost < cuts) throw new Error(JSON.stringify(found));
    return `${found.taps} taps, ${found.openings} openings, ${found.lost} writes lost, ${found.flushes} flushes`;
  });
}

async function cutOnce(device: Device, { importing, weakened }: { importing: boolean; weakened: boolean }) {
  const folder = newFolder();
  const disk = new VolatileDisk(folder);
  device.copyData(disk.image);
  const copy = join(folder, 'seen');
  device.copyData(copy);
  const machine = await device.start('resumed', disk.options(copy));
  const watch = new LineWatch(machine, [
    lines.strike,
    ...readers.flatMap(({ granted, denied }) => [granted, denied]),
  ]);
  const witnessed: Witnessed[] = [];
  if (weakened) await weaken(machine);
  let stopped = false;
  const tapping = ([0, 1] as const).map(async (slot) => {
    while (!stopped) {
      const holder = holders[Math.floor(Math.random() * 5)] ?? '';
      witnessed.push({ slot, holder, shown: await tap(watch, slot, holder) });
    }
  });
  // what is under way when the power goes never ends
  void Promise.allSettled(tapping);
  if (importing) {
    await machine.write('/tmp/new.csv', holderList('new'));
    machine.follow(
      'cd /opt/kazasu && scripts/kazasu policy import /tmp/new.csv --mode complete --database /var/lib/kazasu/policy.sqlite',
      () => undefined,
    );
  }
  await watch.next([{ line: lines.strike, level: 1 }], 0);
  await pass(Math.random() * longestMs);
  stopped = true;
  const openings = watch.changes.filter(({ line, level }) => line === lines.strike && level === 1).length;
  const seenBefore = [...witnessed];
  await machine.cut();
  watch.stop();
  const kept = Math.random() < 0.5 ? () => false : () => Math.random() < 0.5;
  const { flushes, lost } = disk.losePower(kept);
  const state = recover(disk.image, folder);
  const recollection = await Recollection.of(state);
  recollection.holdAgainst(seenBefore, openings);
  return {
    witnessed: seenBefore,
    openings,
    flushes,
    lost,
    entries: recollection.entries,
    group: recollection.group,
  };
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
