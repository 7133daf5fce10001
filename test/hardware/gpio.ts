import { buzzer, inputs, readers, type Wiring } from './configuration.ts';
import { type Device, withFolder } from './device.ts';
import { levelOf, pull } from './lines.ts';
import type { Machine } from './machine.ts';
import { type Report, same } from './report.ts';
import { tap } from './tap.ts';
import { group, property, unit } from './unit.ts';
import { type Fitting, lockedLevel, restLevel, WiredDoors } from './wired-doors.ts';

const watched = [...readers.flatMap(({ strike, granted, denied }) => [strike, granted, denied]), buzzer];
const failSecure = [
  { active: 'high', lockType: 'fail-secure' },
  { active: 'low', lockType: 'fail-secure' },
] as const;
const failSafe = [
  { active: 'high', lockType: 'fail-safe' },
  { active: 'low', lockType: 'fail-safe' },
] as const;
/** the watchdog ends a terminal that hangs no sooner, in milliseconds: it is fed every third of its limit */
const watchdogMs = 10_000;
const vault = '/var/lib/kazasu/vault';

interface Shown {
  readonly machine: Machine;
  readonly report: Report;
  readonly doors: WiredDoors;
  readonly fitting: Fitting;
  /** begins each row */
  readonly name: string;
  /** taps at both doors, of which one admits a card once */
  readonly holder: string;
  /** taps later */
  readonly again: string;
}

/** Both interfaces; the number of a first line that is told differs between kernels. */
const parts: readonly {
  readonly kind: string;
  readonly fitting: Fitting;
  readonly further: readonly ((shown: Shown) => Promise<void>)[];
}[] = [
  {
    kind: 'sysfs, lines from 0, fail-secure',
    fitting: { base: 0, interface: 'sysfs', strikes: failSecure, site: { heldOpenAfter: '2 s' } },
    further: [forced, heldOpen, killedAlone, killed],
  },
  {
    kind: 'sysfs, lines from another number, fail-safe',
    fitting: { base: -1, interface: 'sysfs', strikes: failSafe },
    further: [removed, killed],
  },
  {
    kind: 'character device, fail-secure',
    fitting: { base: 512, interface: 'character device', strikes: failSecure },
    further: [hung, killed, tampered],
  },
];

/** Doors on GPIO lines: by both interfaces of the kernel, however they are wired. */
export function gpio(device: Device, report: Report): Promise<void> {
  return withFolder(async (folder) => {
    const machine = await device.start('resumed', folder);
    try {
      await machine.run(`cp -a ${vault} /root/vault`);
      await showDoors(machine, report);
    } finally {
      await machine.cut();
    }
  });
}

async function showDoors(machine: Machine, report: Report): Promise<void> {
  for (const [index, { kind, fitting, further }] of parts.entries()) {
    const doors = await WiredDoors.fit(machine, fitting, watched);
    const name = `GPIO by ${kind}`;
    const shown = {
      machine,
      report,
      doors,
      fitting,
      name,
      holder: `holder-${10 + index}`,
      again: `holder-${20 + index}`,
    };
    try {
      await report.show(`${name}: active high and low, locked at the start, served`, () => served(shown));
      for (const show of further) await show(shown);
      await report.show(`${name}: stopped while unlocked`, () => stopped(shown));
    } finally {
      doors.watch.stop();
    }
  }
}

/** Both doors open for a card, and lock again. */
async function served({ doors, fitting, holder }: Shown): Promise<void> {
  await doors.start();
  for (const slot of [0, 1] as const) {
    const { strike } = readers[slot];
    const locked = lockedLevel(fitting.strikes[slot]);
    const before = doors.watch.changes.length;
    same(await tap(doors.watch, slot, holder), 'granted', `the lamps of ${readers[slot].id}`);
    const unlocked = await doors.watch.next([{ line: strike, level: 1 - locked }], before);
    await doors.watch.next([{ line: strike, level: locked }], doors.watch.changes.indexOf(unlocked));
  }
}

async function killedAlone(shown: Shown): Promise<void> {
  await shown.report.show(
    `${shown.name}: SIGKILL of the terminal while unlocked: locked by the guard`,
    async () => {
      const { tookMs } = await lockedAfter(shown, `kill -KILL $(systemctl show --value -p MainPID ${unit})`);
      return `${tookMs} ms`;
    },
  );
}

/** Before the watchdog ends it, and long before the exit request's time is over. */
async function hung(shown: Shown): Promise<void> {
  await shown.report.show(
    `${shown.name}: process of the terminal hangs while unlocked: locked by the guard`,
    async () => {
      const { tookMs } = await lockedAfter(shown, `kill -STOP $(systemctl show --value -p MainPID ${unit})`);
      if (tookMs > watchdogMs) throw new Error(`locked after ${tookMs} ms`);
      return `${tookMs} ms`;
    },
  );
}

async function killed(shown: Shown): Promise<void> {
  await shown.report.show(`${shown.name}: SIGKILL of every process while unlocked: locked`, async () => {
    const { tookMs, furtherMs } = await lockedAfter(shown, `echo 1 > ${group}/cgroup.kill`);
    // where the line falls back `door lock` is not even there yet
    return `${tookMs} ms${shown.fitting.interface === 'sysfs' ? `; door lock ends after ${furtherMs} ms more` : ''}`;
  });
}

/** Locks both doors by `action`, and resolves once the terminal is back. */
async function lockedAfter({ machine, doors, fitting }: Shown, action: string) {
  const restarts = Number(await property(machine, 'NRestarts'));
  const times = await doors.lockedAfter(action);
  await doors.ready(restarts);
  await strikesAre(machine, fitting, lockedLevel);
  // says systemd where a program of ExecStopPost= fails
  await machine.run(`! journalctl -u ${unit} -o cat | grep 'Control process exited'`);
  return times;
}

/** The terminal locks as it ends, and systemd runs `door lock` after it; then nobody holds a line of the character device. */
async function stopped({ machine, doors, fitting }: Shown): Promise<string> {
  const { tookMs } = await doors.lockedAfter(`systemctl stop ${unit}`);
  const post = await property(machine, 'ExecStopPost');
  if (!/code=exited ; status=0/.test(post)) throw new Error(`ExecStopPost: ${post}`);
  same(await property(machine, 'Result'), 'success', 'result of the unit');
  await strikesAre(machine, fitting, fitting.interface === 'sysfs' ? lockedLevel : restLevel);
  return `${tookMs} ms`;
}

async function strikesAre(machine: Machine, fitting: Fitting, level: (wiring: Wiring) => number) {
  for (const slot of [0, 1] as const) {
    const { strike } = readers[slot];
    same(await levelOf(machine, strike), level(fitting.strikes[slot]), `level of line ${strike}`);
  }
}

/** Entries of the journal behind a position, as its database keeps them: the command line takes longer than what is waited for. */
const entriesAfter = (position: string) => `python3 -c "
import sqlite3
journal = sqlite3.connect('file:/var/lib/kazasu/journal.sqlite?mode=ro', uri=True)
for position, entry in journal.execute('SELECT position, raw FROM entries WHERE position > ${position} ORDER BY position'):
    print(position, entry.decode())"`;

/** Does `action`, then waits until entries that were added say all of `words`. */
async function journalSays(
  machine: Machine,
  words: readonly string[],
  action: () => Promise<void>,
): Promise<void> {
  const newest =
    (await machine.run(entriesAfter('(SELECT max(position) - 1 FROM entries)'))).split(' ')[0] ?? '';
  await action();
  const said = words.map((word) => `grep -q '"${word}"' /run/entries`).join(' && ');
  await machine.until(`${entriesAfter(newest)} > /run/entries; cat /run/entries; ${said}`);
}

async function forced({ machine, report, doors, name }: Shown): Promise<void> {
  await report.show(`${name}: door forced: alarm in the journal and by the buzzer`, () =>
    journalSays(machine, ['forced-open'], async () => {
      const sound = doors.watch.next([{ line: buzzer, level: 1 }]);
      await pull(machine, inputs.contact, 1);
      await sound;
      await pull(machine, inputs.contact, 0);
    }),
  );
}

async function heldOpen({ machine, report, doors, name }: Shown): Promise<void> {
  await report.show(`${name}: door held open: alarm in the journal`, async () => {
    const before = doors.watch.changes.length;
    await journalSays(machine, ['exit-request', 'held-open'], async () => {
      await pull(machine, inputs.exitRequest, 1);
      await doors.watch.next([{ line: readers[0].strike, level: 1 }], before);
      await pull(machine, inputs.contact, 1);
      await pull(machine, inputs.exitRequest, 0);
    });
    await pull(machine, inputs.contact, 0);
    await doors.watch.next([{ line: readers[0].strike, level: 0 }], before);
  });
}

async function removed({ machine, report, doors, name, fitting, again }: Shown): Promise<void> {
  const main = await property(machine, 'MainPID');
  await report.show(`${name}: chip removed in use: fault, no unlocking`, async () => {
    await journalSays(machine, ['door-hardware-absent'], () => doors.plug(false));
    const unlocking = 'cd /opt/kazasu; ! scripts/kazasu door unlock front --reason test 2>&1';
    const refused = await machine.run(unlocking);
    if (!/door-hardware-(absent|failed)/.test(refused))
      throw new Error(`unlocking without the chip: ${refused}`);
  });
  await report.show(`${name}: chip back under another number: locked, served`, async () => {
    await doors.plug(true);
    doors.look(watched);
    await doors.wellAgain();
    await strikesAre(machine, fitting, lockedLevel);
    same(await tap(doors.watch, 0, again), 'granted', 'the lamps afterwards');
    same(await property(machine, 'MainPID'), main, 'the process of the terminal');
  });
}

async function tampered({ machine, report, name }: Shown): Promise<void> {
  await report.show(`${name}: housing opened: alarm in the journal, keys erased`, async () => {
    await journalSays(machine, ['tamper', 'keys-erased'], () => pull(machine, inputs.tamper, 1));
    await machine.run(`[ ! -e ${vault} ] && cp -a /root/vault ${vault}`);
    await pull(machine, inputs.tamper, 0);
  });
}
