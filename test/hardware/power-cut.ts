import { join } from 'node:path';
import { setTimeout as pass } from 'node:timers/promises';
import { type Aftermath, chooseMoments, powerGone } from './aftermath.ts';
import { servesFromBoot } from './boot.ts';
import { holderList, holders } from './cards.ts';
import { readers } from './configuration.ts';
import { type Device, rawDisk, withFolder } from './device.ts';
import { LineWatch } from './lines.ts';
import type { Machine } from './machine.ts';
import { type Report, same } from './report.ts';
import { tap } from './tap.ts';
import { VolatileDisk } from './volatile-disk.ts';
import { count, Witness } from './witness.ts';

/**
 * the longest that cards are held up before the power goes, in milliseconds; an import needs its time to come into force, and
 * the power goes soon after
 */
const longestMs = 12_000;
const longestImportMs = 60_000;
const longestAfterImportMs = 5_000;
/** at which the power is taken to go as well, of each run: see volatile-disk.ts */
const earlierMoments = 10;
/** of so many cuts, after one the machine is booted on what its disks kept */
const bootsEvery = 20;
/** what each strike does when it opens, in the order of the readers */
const unlocked = readers.map(({ strike }) => ({ line: strike, level: 1 }));
const lines = readers.flatMap(({ strike, granted, denied }) => [strike, granted, denied]);
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
 * what the disk keeps against what was seen, there and at earlier moments of the same run. `weakened`: the terminal does
 * not wait for the disk, which must show.
 */
export async function powerCuts(
  device: Device,
  report: Report,
  { cuts, weakened }: { readonly cuts: number; readonly weakened: boolean },
): Promise<void> {
  const found = { openings: 0, moments: 0, losing: 0, lost: 0, signed: 0, policies: { old: 0, new: 0 } };
  for (let cut = 1; cut <= cuts; cut += 1) {
    const importing = cut % 2 === 0;
    await report.show(`power cut ${cut} of ${cuts}${importing ? ', during an import' : ''}`, () =>
      withFolder(async (folder) => {
        const [disk, witness] = await cutOnce(device, { folder, importing, weakened });
        const seen = witness.until(disk.logged);
        found.openings += count(seen, 'opening');
        const moments = await allMoments(disk, witness, folder);
        found.moments += moments.length;
        found.losing += moments.filter(({ lost }) => lost > 0).length;
        for (const { lost, signed, group } of moments) {
          found.lost += lost;
          if (signed > 0) found.signed += 1;
          found.policies[group] += 1;
        }
        const taps = count(seen, 'grant') + count(seen, 'denial');
        const figure = `${taps} taps, ${count(seen, 'opening')} openings, ${moments[0]?.entries} entries, ${moments.length} moments`;
        return cut % bootsEvery === 0
          ? `${figure}, ${await bootsAgain(device, disk, witness, folder)}`
          : figure;
      }),
    );
  }
  await report.show('power cuts: there was something to be lost', async () => {
    const { openings, moments, losing, lost, signed, policies } = found;
    if (openings < cuts || losing < cuts || (cuts > 1 && signed === 0))
      throw new Error(
        `${openings} openings, something lost at ${losing} moments, a checkpoint at ${signed}, in ${cuts} cuts`,
      );
    return `${cuts} cuts, ${moments} moments, ${losing} of them with ${lost} pages lost, ${signed} with a checkpoint; ${openings} openings, policy ${policies.old} times old, ${policies.new} times new`;
  });
}

/** Runs the machine until its power goes, on a disk that can lose more than that. */
async function cutOnce(
  device: Device,
  { folder, importing, weakened }: Cut,
): Promise<[VolatileDisk, Witness]> {
  const disk = new VolatileDisk(folder);
  device.copyData(disk.image);
  const copy = join(folder, 'seen');
  device.copyData(copy);
  const machine = await device.start('resumed', folder, disk.options(copy));
  try {
    if (weakened) await weaken(machine);
    return [disk, await witnessed(machine, disk, importing)];
  } finally {
    await machine.cut();
  }
}

/** Taps for a random time, and tells what was seen. */
async function witnessed(machine: Machine, disk: VolatileDisk, importing: boolean): Promise<Witness> {
  const witness = new Witness(() => disk.logged);
  const watch = new LineWatch(machine, lines, (change) => witness.moved(change));
  try {
    tapOnAndOn(watch, witness);
    const underWay = importing && (await beginImport(machine, witness));
    await watch.next(unlocked, 0);
    const random = (longest: number) => pass(Math.random() * longest);
    if (underWay) {
      const installed = underWay.installed.then(() => random(longestAfterImportMs));
      await Promise.race([random(longestImportMs), installed]);
    } else await random(longestMs);
    return witness;
  } finally {
    watch.stop();
  }
}

/** The end and some earlier moments; throws where any of them shows that something was not kept. */
async function allMoments(
  disk: VolatileDisk,
  witness: Witness,
  folder: string,
): Promise<readonly Aftermath[]> {
  const moments = [disk.logged, ...chooseMoments(disk, witness, earlierMoments).map(({ at }) => at)];
  const found: Aftermath[] = [];
  const wrong: string[] = [];
  for (const at of moments) {
    try {
      found.push(await powerGone(disk, witness, { at, folder }));
    } catch (error) {
      wrong.push(String(error));
    }
  }
  if (wrong.length > 0)
    throw new Error(`at ${wrong.length} of ${moments.length} moments; the first: ${wrong[0]}`);
  return found;
}

/**
 * Boots the machine on what its disks kept, locked until there is a tap; who had been admitted at the event is denied, and
 * somebody new is granted.
 */
async function bootsAgain(
  device: Device,
  disk: VolatileDisk,
  witness: Witness,
  folder: string,
): Promise<string> {
  const data = join(folder, 'remained');
  disk.losePower(data, disk.logged, () => Math.random() < 0.5);
  const admitted = witness.until(disk.logged).find((it) => it.kind === 'grant' && it.slot === 1);
  const began = performance.now();
  const machine = await device.start('again', folder, rawDisk(data));
  try {
    const figure = await servesFromBoot(machine, began);
    const watch = new LineWatch(machine, lines);
    if (admitted?.kind === 'grant')
      same(await tap(watch, 1, admitted.holder), 'denied', `${admitted.holder}, admitted before`);
    same(await tap(watch, 1, 'holder-51'), 'granted', 'somebody new');
    watch.stop();
    return `booted: ${figure}`;
  } finally {
    await machine.cut();
  }
}

/** Holds cards of a few people up at both readers, one after the other, until the machine dies. */
function tapOnAndOn(watch: LineWatch, witness: Witness): void {
  const tapping = async (slot: 0 | 1): Promise<never> => {
    for (;;) {
      const holder = holders[Math.floor(Math.random() * fewPeople)] ?? '';
      witness.holdsUp(slot, holder);
      await tap(watch, slot, holder);
    }
  };
  // what is under way when the power goes never ends
  void Promise.race([tapping(0), tapping(1)]);
}

/** Begins an import; what it returns resolves once the new list is installed. */
async function beginImport(
  machine: Machine,
  witness: Witness,
): Promise<{ readonly installed: Promise<void> }> {
  await machine.write('/tmp/new.csv', holderList('new'));
  const installed = new Promise<void>((resolve) => {
    machine.follow(
      'cd /opt/kazasu && scripts/kazasu policy import /tmp/new.csv --mode complete --database /var/lib/kazasu/policy.sqlite',
      (line) => {
        if (!line.startsWith('installed as policy version')) return;
        witness.imported();
        resolve();
      },
    );
  });
  return { installed };
}

/** Takes the waiting for the disk out of the machine's copy of the terminal. */
async function weaken(machine: Machine): Promise<void> {
  await machine.run(
    "sed -i 's/synchronous = FULL/synchronous = OFF/' /opt/kazasu/src/adapters/sqlite/*.ts && systemctl restart kazasu-terminal",
  );
}
