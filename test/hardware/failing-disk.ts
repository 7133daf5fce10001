import { join } from 'node:path';
import { recover } from './aftermath.ts';
import { servesFromBoot } from './boot.ts';
import { readers } from './configuration.ts';
import { type Device, withFolder } from './device.ts';
import { LineWatch } from './lines.ts';
import type { Machine } from './machine.ts';
import { goesOn, Recollection } from './recollection.ts';
import { type Report, same } from './report.ts';
import { granted, tap } from './tap.ts';
import { property, unit } from './unit.ts';
import { count, Witness } from './witness.ts';

const state = '/var/lib/kazasu';
const filler = `${state}/filler`;
/** taps until a journal without its reserve has no more space, at most */
const mostTaps = 20;

/** A machine whose disk takes nothing more, and what was seen of it. */
interface Scene {
  readonly machine: Machine;
  readonly watch: LineWatch;
  readonly witness: Witness;
}

/** A disk that is full, or takes no writes: nothing opens without its entry, and nothing is lost. */
export function failingDisk(device: Device, report: Report): Promise<void> {
  return withFolder(async (folder) => {
    const machine = await device.start('resumed', folder);
    const witness = new Witness(() => 0);
    const lines = readers.flatMap(({ strike, granted, denied }) => [strike, granted, denied]);
    const watch = new LineWatch(machine, lines, (change) => witness.moved(change));
    const scene = { machine, watch, witness };
    witness.holdsUp(0, 'holder-0');
    try {
      await report.show('disk full: taps are served from the space reserved', () => full(scene));
      await report.show('disk full, reserve used up: nothing opens, journal-full', () => usedUp(scene));
      await report.show('disk freed: serves by itself', () => freed(scene));
      await report.show('error of the disk, read-only since: nothing opens, journal-unwritable', () =>
        failing(scene),
      );
      await report.show('started anew, as the page says: serves', () => startedAnew(scene));
      await report.show('whatever was seen meanwhile is in the journal', () => remembered(scene, folder));
    } finally {
      watch.stop();
      await machine.cut();
    }
  });
}

async function full(scene: Scene): Promise<string> {
  const { machine } = scene;
  // root takes what is kept for it as well
  await machine.run(`for size in 1M 4k; do dd if=/dev/zero bs=$size status=none; done >> ${filler}; sync`);
  await granted(scene.watch, 0, 'holder-0');
  return `${await machine.run(`df --output=avail -B 1 ${state} | tail -n 1`)} bytes free`;
}

/** Stores as much as the journal's space takes, then as its log takes, as thousands of taps would. */
const useUp = `cd /opt/kazasu && sudo -u kazasu scripts/node -e "
const Database = require('better-sqlite3');
const db = new Database('${state}/journal.sqlite', { timeout: 60000 });
db.pragma('wal_autocheckpoint = 0');
const insert = db.prepare('INSERT INTO reservation (space) VALUES (zeroblob(?))');
for (const moving of [true, false]) {
  for (let size = 262144; size > 1024; ) {
    try {
      insert.run(size);
      if (moving) db.pragma('wal_checkpoint(PASSIVE)');
    } catch (error) {
      if (error.code !== 'SQLITE_FULL') throw error;
      size /= 2;
    }
  }
}"`;

async function usedUp(scene: Scene): Promise<string> {
  await scene.machine.run(useUp);
  return `${await deniedFor(scene, 'journal-full')} more taps were granted`;
}

/** Taps until one is denied, and rejects unless that is for `code` and no strike moved; how many were granted before. */
async function deniedFor({ machine, watch, witness }: Scene, code: string): Promise<number> {
  for (let taps = 0; taps < mostTaps; taps += 1) {
    const before = openings(witness);
    if ((await tap(watch, 0, 'holder-0')) === 'granted') continue;
    await machine.until(`journalctl -b -u ${unit} -o cat | grep ${code}`);
    same(openings(witness), before, 'openings');
    same(await property(machine, 'ActiveState'), 'active', 'state of the unit');
    await says(machine, 'the journal cannot be written');
    return taps;
  }
  throw new Error(`${mostTaps} taps were granted`);
}

async function freed(scene: Scene): Promise<void> {
  await scene.machine.run(`rm ${filler}`);
  await granted(scene.watch, 0, 'holder-0');
  await says(scene.machine, 'ready');
}

/** Resolves once what `systemctl status` says of the terminal begins so. */
async function says(machine: Machine, beginning: string): Promise<void> {
  await machine.until(`systemctl show -P StatusText ${unit} | grep '^${beginning}'`);
}

/** The file system finds an error, and does what /etc/fstab says of that: remount-ro. */
async function failing(scene: Scene): Promise<void> {
  await scene.machine.run('echo emulated > /sys/fs/ext4/vdb/trigger_fs_error');
  await scene.machine.until("dmesg | grep 'vdb): Remounting filesystem read-only'");
  await deniedFor(scene, 'journal-unwritable');
}

async function startedAnew({ machine, watch }: Scene): Promise<string> {
  watch.stop();
  const resets = machine.qmp.count('RESET');
  const { stop } = machine.follow('systemctl reboot', () => undefined);
  await machine.qmp.event('RESET', resets);
  stop();
  const began = performance.now();
  await machine.reached();
  return servesFromBoot(machine, began);
}

/** What was granted and opened has its entry, and of what was denied meanwhile there is one as soon as there can be. */
async function remembered({ machine, witness }: Scene, folder: string): Promise<string> {
  await machine.run(`systemctl stop ${unit}; sync`);
  await machine.cut();
  const found = join(folder, 'state');
  recover(join(folder, 'data'), found);
  const recollection = await Recollection.of(found);
  recollection.holdAgainst(witness.until(0));
  const denied = recollection.denied.filter((reason) => reason === 'fault').length;
  if (denied === 0) throw new Error('nothing of what was denied');
  await goesOn(found);
  return `${recollection.entries} entries, ${denied} taps denied for a fault`;
}

function openings(witness: Witness): number {
  return count(witness.until(0), 'opening');
}
