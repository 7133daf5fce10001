import { commandsOf } from './commissioning.ts';
import { inputs, readers } from './configuration.ts';
import { type Device, withFolder } from './device.ts';
import { LineWatch, pull } from './lines.ts';
import type { Machine } from './machine.ts';
import { type Report, same } from './report.ts';
import { granted } from './tap.ts';
import { ready } from './unit.ts';

const lines = readers.flatMap(({ strike, granted, denied }) => [strike, granted, denied]);
/** what each strike does when it opens */
const unlocked = readers.map(({ strike }) => ({ line: strike, level: 1 }));

/** From power-up to the first valid tap, and what the hardware's watchdog makes of a machine that hangs. */
export function boot(device: Device, report: Report): Promise<void> {
  return withFolder(async (folder) => {
    const began = performance.now();
    const machine = await device.start('booted', folder);
    try {
      await report.show('boot: locked until the first valid tap', () => servesFromBoot(machine, began));
      await report.show('watchdog of the hardware: set up as the page says', () => setUp(machine));
      await report.show('kernel that crashes while unlocked: reset, locked, serving', () =>
        comesBack(machine, 'echo 0 > /proc/sys/kernel/panic; echo c > /proc/sysrq-trigger'),
      );
      await report.show('systemd that crashes while unlocked: reset, locked, serving', () =>
        comesBack(machine, 'kill -SEGV 1'),
      );
    } finally {
      await machine.cut();
    }
  });
}

/** Takes the commands of the page, and waits for what it says of them. */
async function setUp(machine: Machine): Promise<string> {
  for (const block of commandsOf('10. Reset a machine that hangs')) await machine.run(block);
  same(await machine.run('systemctl show --value -p RuntimeWatchdogUSec'), '15s', 'RuntimeWatchdogUSec');
  // a machine that hangs later than a moment after the installation has it on its disk
  await machine.run('sync');
  return armed(machine);
}

/** The watchdog that systemd feeds, as `wdctl` names it. */
async function armed(machine: Machine): Promise<string> {
  await machine.until('[ "$(cat /sys/class/watchdog/watchdog0/state)" = active ]');
  const text = await machine.run('wdctl');
  same(/^Timeout: +(\d+)/m.exec(text)?.[1], '15', 'seconds of the watchdog');
  return /^Identity: +(.*?) *\[/m.exec(text)?.[1] ?? text;
}

/** Unlocks by the exit request, lets the machine hang, and waits until its hardware has reset it and it serves again. */
async function comesBack(machine: Machine, hang: string): Promise<string> {
  const watch = new LineWatch(machine, lines);
  const [resets, barks] = [machine.qmp.count('RESET'), machine.qmp.count('WATCHDOG')];
  const moved = watch.next(unlocked);
  await pull(machine, inputs.exitRequest, 1);
  await moved;
  const { stop } = machine.follow(hang, () => undefined);
  await machine.qmp.event('WATCHDOG', barks);
  await machine.qmp.event('RESET', resets);
  const began = performance.now();
  // a reset closes no connection
  stop();
  watch.stop();
  await machine.reached();
  const figure = await servesFromBoot(machine, began);
  await armed(machine);
  return `after the reset ${figure}`;
}

/**
 * Looks at the strikes from when there is a GPIO chip, which is before any service of the boot, until a card is granted;
 * rejects where one moves before. `began`: milliseconds of `performance.now()` when the machine got power.
 */
export async function servesFromBoot(machine: Machine, began: number): Promise<string> {
  const watch = new LineWatch(machine, lines);
  try {
    await ready(machine);
    const readyMs = performance.now() - began;
    const moved = watch.changes.find(
      ({ line, level }) => level === 1 && unlocked.some((it) => it.line === line),
    );
    if (moved) throw new Error(`line ${moved.line} was unlocked during the boot`);
    const opened = watch.next(unlocked);
    await granted(watch, 0, 'holder-50');
    await opened;
    const tapMs = performance.now() - began;
    return `ready after ${(readyMs / 1_000).toFixed(0)} s, first tap ${(tapMs / 1_000).toFixed(0)} s (emulated)`;
  } finally {
    watch.stop();
  }
}
