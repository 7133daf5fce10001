import { inputs, readers } from './configuration.ts';
import { type Device, withFolder } from './device.ts';
import { LineWatch, levelOf, pull } from './lines.ts';
import type { Machine } from './machine.ts';
import { type Report, same } from './report.ts';
import { granted, tap } from './tap.ts';
import { property, ready, unit } from './unit.ts';

/** fail-secure, active high: as the machine is configured */
const [locked, unlocked] = [
  { line: readers[0].strike, level: 0 },
  { line: readers[0].strike, level: 1 },
];
/** strikes and lamps */
const watched = readers.flatMap(({ strike, granted, denied }) => [strike, granted, denied]);
/** most that systemd-analyze may count against the unit, of 10 */
const mostExposure = 2;

/** The unit as shipped, its permissions, and its door whatever happens to its processes. */
export function service(device: Device, report: Report, smoke: boolean): Promise<void> {
  return withFolder((folder) => showService(device, report, { smoke, folder }));
}

async function showService(
  device: Device,
  report: Report,
  { smoke, folder }: { readonly smoke: boolean; readonly folder: string },
): Promise<void> {
  const machine = await device.start('resumed', folder);
  const watch = new LineWatch(machine, watched);
  try {
    await report.show('unit: active as the user kazasu, strike locked', () => runs(machine));
    await report.show('units as shipped: nothing that systemd-analyze verify says of them', () =>
      verified(machine),
    );
    await report.show('unit: what systemd-analyze security counts', () => exposure(machine));
    await report.show('tap: a card moves the strike, and it relocks', () => opens(watch));
    await report.show('tap: the same card at an event, once', () => once(watch));
    await report.show('exit request: by the wire of the GPIO line', () => exits(machine, watch));
    await report.show('SIGKILL while unlocked: locked, and serving again', () => killed(machine, watch));
    if (smoke) return;
    await report.show('a process that hangs while unlocked: locked, restarted by the watchdog', () =>
      hung(machine, watch),
    );
    await report.show('stopped while unlocked: locked', () => stopped(machine, watch));
  } finally {
    watch.stop();
    await machine.cut();
  }
}

async function runs(machine: Machine): Promise<string> {
  same(await property(machine, 'ActiveState'), 'active', 'state of the unit');
  const owner = await machine.run(`stat -c %U /proc/$(systemctl show --value -p MainPID ${unit})`);
  same(owner, 'kazasu', 'user');
  same(await levelOf(machine, readers[0].strike), locked.level, 'level of the strike');
  return property(machine, 'StatusText');
}

/** Every unit with its drop-ins; what is said of one is a failure, whatever the exit code. */
async function verified(machine: Machine): Promise<string> {
  const units = '$(find /opt/kazasu/systemd -maxdepth 1 -type f)';
  same(
    await machine.run(`systemd-analyze verify --recursive-errors=yes ${units} 2>&1 || true`),
    '',
    'what was said',
  );
  return machine.run(`basename -a ${units} | sort | tr '\\n' ' '`);
}

async function exposure(machine: Machine): Promise<string> {
  const text = await machine.run(`systemd-analyze security --no-pager ${unit} | tail -n 1`);
  const figure = Number(/: ([\d.]+) /.exec(text)?.[1]);
  if (!(figure <= mostExposure)) throw new Error(`${text}; at most ${mostExposure} is permitted`);
  return String(figure);
}

async function opens(watch: LineWatch): Promise<void> {
  const before = watch.changes.length;
  await granted(watch, 0, 'holder-0');
  await watch.next([unlocked], before);
  await watch.next([locked], watch.changes.indexOf(await watch.next([unlocked], before)));
}

async function once(watch: LineWatch): Promise<void> {
  same(await tap(watch, 1, 'holder-1'), 'granted', 'the first time');
  same(await tap(watch, 1, 'holder-1'), 'denied', 'the second time');
}

async function exits(machine: Machine, watch: LineWatch): Promise<void> {
  await settled(watch);
  const moved = watch.next([unlocked]);
  await pull(machine, inputs.exitRequest, 1);
  await moved;
  const back = watch.next([locked]);
  await pull(machine, inputs.exitRequest, 0);
  await back;
}

/** Unlocks by the exit request, which lasts as long as it is pressed at most, does what is to be survived, and waits for the lock. */
async function whileUnlocked(machine: Machine, watch: LineWatch, action: string): Promise<void> {
  await settled(watch);
  const moved = watch.next([unlocked]);
  await pull(machine, inputs.exitRequest, 1);
  await moved;
  const back = watch.next([locked]);
  await machine.run(action);
  await back;
  await pull(machine, inputs.exitRequest, 0);
}

async function settled(watch: LineWatch): Promise<void> {
  if (watch.level(readers[0].strike) === unlocked.level) await watch.next([locked]);
}

async function servesAgain(machine: Machine, watch: LineWatch, restarts: string): Promise<void> {
  await machine.until(`[ "$(systemctl show --value -p NRestarts ${unit})" -gt ${restarts} ]`);
  await ready(machine);
  await granted(watch, 0, 'holder-2');
}

async function killed(machine: Machine, watch: LineWatch): Promise<void> {
  const restarts = await property(machine, 'NRestarts');
  await whileUnlocked(machine, watch, `systemctl kill -s KILL ${unit}`);
  await servesAgain(machine, watch, restarts);
}

async function hung(machine: Machine, watch: LineWatch): Promise<void> {
  const restarts = await property(machine, 'NRestarts');
  await whileUnlocked(machine, watch, `kill -STOP $(systemctl show --value -p MainPID ${unit})`);
  await servesAgain(machine, watch, restarts);
}

async function stopped(machine: Machine, watch: LineWatch): Promise<void> {
  await whileUnlocked(machine, watch, `systemctl stop ${unit}`);
  same(await levelOf(machine, readers[0].strike), locked.level, 'level of the strike');
}
