import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { goesOn, Recollection } from './recollection.ts';
import type { Moment, VolatileDisk } from './volatile-disk.ts';
import type { Witness } from './witness.ts';

/** what is in the state directory for good */
const unchanging = ['vault', 'device-key.p8', 'device-key.pub.pem'];

/** What came of the power going at one moment. */
export interface Aftermath {
  /** pages that were lost with the cache of the disk */
  readonly lost: number;
  readonly entries: number;
  /** of them, those that a checkpoint proves */
  readonly signed: number;
  readonly group: 'old' | 'new';
}

/**
 * Up to `count` moments of a run at which the power may go: half of them as soon as something was seen, so that there is
 * as little time as possible for it to be stored belatedly, the others where the cache held something to be lost.
 */
export function chooseMoments(disk: VolatileDisk, witness: Witness, count: number): readonly Moment[] {
  const all = disk.moments().filter(({ at }) => at >= witness.since);
  const seen = witness.moments().flatMap((at) => all.find((moment) => moment.at >= at) ?? []);
  const chosen = new Set(some([...new Set(seen)], Math.ceil(count / 2)));
  const busy = all.filter((moment) => moment.waiting > 0 && !chosen.has(moment));
  return [...chosen, ...some(busy, count - chosen.size)];
}

function some<T>(items: readonly T[], count: number): readonly T[] {
  const left = [...items];
  const picked = () => left.splice(Math.floor(Math.random() * left.length), 1);
  return Array.from({ length: Math.min(count, items.length) }, picked).flat();
}

/**
 * Lets the power go when the log of the disk was `at` long, and rejects unless what then is on the disk, once the file
 * system has found itself again as in a boot, is sound and knows of all that had been seen. In half of the cases all of
 * the cache is lost, in the others some of it. `folder` is for files of its own.
 */
export async function powerGone(
  disk: VolatileDisk,
  witness: Witness,
  { at, folder }: { readonly at: number; readonly folder: string },
): Promise<Aftermath> {
  const image = join(folder, 'remained');
  const state = join(folder, 'state');
  try {
    const kept = Math.random() < 0.5 ? () => false : () => Math.random() < 0.5;
    const lost = disk.losePower(image, at, kept);
    recover(image, state);
    for (const name of unchanging) {
      const before = execFileSync('debugfs', ['-R', `cat /${name}`, disk.image], {
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      if (before.length === 0 || !before.equals(readFileSync(join(state, name))))
        throw new Error(`${name} is another one`);
    }
    const recollection = await Recollection.of(state);
    recollection.holdAgainst(witness.until(at));
    const invented = recollection.denied.find((reason) => reason !== 'already-admitted');
    if (invented !== undefined) throw new Error(`somebody was denied: ${invented}`);
    await goesOn(state);
    const { entries, signed, group } = recollection;
    return { lost, entries, signed, group };
  } finally {
    for (const path of [image, state]) rmSync(path, { recursive: true, force: true });
  }
}

/** Lets the file system find itself again, as a boot does, and takes the state directory out of it. */
export function recover(image: string, state: string): void {
  const replayed = spawnSync('e2fsck', ['-p', image], { encoding: 'utf8' });
  // 1: the journal was replayed, or what is left over of deleted files was cleared
  if (replayed.status === null || replayed.status > 1)
    throw new Error(`the file system is broken: ${replayed.stdout}`);
  const checked = spawnSync('e2fsck', ['-fn', image], { encoding: 'utf8' });
  if (checked.status !== 0) throw new Error(`the file system did not find itself again: ${checked.stdout}`);
  mkdirSync(state);
  execFileSync('debugfs', ['-R', `rdump / ${state}`, image], { stdio: 'ignore' });
}
