import { parse, stringify } from 'yaml';
import { VpcdLink } from '#simulators/vpcd/vpcd-link.ts';
import { cardOf, pinOfCards } from './cards.ts';
import { inputs, readers, rulesYaml, terminalYaml } from './configuration.ts';
import { type Device, withFolder } from './device.ts';
import { LineWatch, pull } from './lines.ts';
import type { Machine } from './machine.ts';
import { type Report, same } from './report.ts';
import { calm, type Shown, tap } from './tap.ts';
import { group, property, serves, unit } from './unit.ts';
import { UsbBus } from './usb-bus.ts';

const names = readers.map(({ name }) => name);
/** of the relay board: the strike of the front door */
const relay = 2;
const [locked, unlocked] = [`relay-board ${relay} off`, `relay-board ${relay} on`];
const wrongPin = '1357';
/** how long somebody may take to enter it */
const pinMs = 120_000;
/** what comes out of the text console */
const typed = '/run/typed';

interface Rig {
  readonly machine: Machine;
  readonly watch: LineWatch;
  readonly bus: UsbBus;
}

/** A relay board and a keypad on USB, as the kernel gives them to the terminal, plugged in and out while it runs. */
export function usb(device: Device, report: Report): Promise<void> {
  return withFolder(async (folder) => {
    const machine = await device.start('resumed', folder);
    const lines = readers.flatMap(({ strike, granted, denied }) => [strike, granted, denied]);
    const watch = new LineWatch(machine, lines);
    try {
      await startWithoutHid(machine);
      const bus = await UsbBus.start(machine);
      await showUsb({ machine, watch, bus }, report);
    } finally {
      watch.stop();
      await machine.cut();
    }
  });
}

async function showUsb(rig: Rig, report: Report): Promise<void> {
  await report.show(
    'USB relay: the first HID device, after the start: opened by the user kazasu, locked',
    () => takesOver(rig),
  );
  await report.show('permissions: the unit opens its devices, and no others', () => opensItsOwn(rig));
  await report.show('USB relay: a card moves it, and it relocks', () => opens(rig, 'holder-0'));
  await report.show('USB relay: stopped while unlocked, locked, and read back by ExecStopPost', () =>
    stopped(rig),
  );
  await report.show('USB relay: SIGKILL while unlocked, locked, and serving again', () => killed(rig));
  await report.show('USB relay: unplugged, a fault and no door; plugged in again, locked and serving', () =>
    boardReplugged(rig),
  );
  await report.show('keypad: what is typed on it reaches no console; other keyboards type', () =>
    typesNowhere(rig),
  );
  await report.show('keypad: the right PIN opens, a wrong one does not', () => pins(rig));
  await report.show('keypad: unplugged in the middle of a PIN, denied; plugged in again, it serves', () =>
    keypadReplugged(rig),
  );
  await report.show('keypad: one that types to the console is refused', () => refusesTyping(rig));
}

/** terminal.yaml with the front door's strike on the relay board, and a keypad at the reader of the side door. */
function terminalWithUsb(): string {
  const terminal = parse(terminalYaml());
  terminal.doors[0].hardware.strike = { kind: 'usb-relay', serial: 'KAZA1', relay };
  terminal.readers[1].pinPad = { kind: 'usb-keypad', vendorId: '04d9', productId: 'a02a' };
  terminal.pinTimeout = `${pinMs} ms`;
  return stringify(terminal);
}

/** rules.yaml where the side door demands a PIN. */
function rulesWithPin(): string {
  const rules = parse(rulesYaml);
  rules.doors[1].assurance = ['mutual-authentication', 'message-authentication', 'pin'];
  return stringify(rules);
}

/** Starts the terminal where the kernel has seen no HID device, so that it knows no `hidraw` but for the unit. */
async function startWithoutHid(machine: Machine): Promise<void> {
  await machine.run(`systemctl stop ${unit}
for module in uhid hid_generic usbhid hid; do rmmod $module 2> /dev/null || true; done
if grep -w hidraw /proc/devices; then exit 1; fi`);
  await machine.write('/etc/kazasu/terminal.yaml', terminalWithUsb(), '-m 0640 -g kazasu');
  await machine.write('/opt/kazasu/rules.yaml', rulesWithPin());
  await machine.run(
    'cd /opt/kazasu; scripts/kazasu policy import rules.yaml --database /var/lib/kazasu/policy.sqlite',
  );
  await machine.run(`systemctl start ${unit}`);
}

/** Which process the terminal is, and how often systemd has started it anew. */
async function processOf(machine: Machine): Promise<string> {
  return `${await property(machine, 'MainPID')}, restarted ${await property(machine, 'NRestarts')} times`;
}

async function takesOver({ machine, watch, bus }: Rig): Promise<void> {
  const before = await processOf(machine);
  const taken = bus.next(locked);
  await bus.plug('relay-board');
  await taken;
  for (const name of ['keypad', 'keyboard'] as const) await bus.plug(name);
  await serves(machine, names);
  await calm(watch, 0);
  same(await processOf(machine), before, 'the process of the terminal');
  same(await usersOf(machine, '16C0:05DF'), 'kazasu', 'who has the relay board open');
}

/** The users of the programs that have a HID device open, by its ids. */
function usersOf(machine: Machine, ids: string): Promise<string> {
  return machine.run(
    `node=$(basename /sys/bus/hid/devices/0003:${ids}.*/hidraw/hidraw*)
for file in $(find /proc/[0-9]*/fd -lname /dev/$node 2> /dev/null); do stat -c %U \${file%/fd/*}; done | sort -u`,
  );
}

/** what the policy `closed` leaves to every unit */
const pseudo = ['/dev/full', '/dev/null', '/dev/ptmx', '/dev/random', '/dev/urandom', '/dev/zero'];
const hidDevices = { keypad: '04D9:A02A', keyboard: '046D:C31C', relayBoard: '16C0:05DF' };

/** In the unit not even root would open other devices; its user has the relay board and the keypad, and nobody else has. */
async function opensItsOwn({ machine }: Rig): Promise<string> {
  const chips = (await machine.run('ls /dev/gpiochip*')).split('\n');
  const { keypad, keyboard, relayBoard } = hidDevices;
  const as = (user: string, groups: string) => `setpriv --reuid ${user} --regid $(id -g ${user}) ${groups}`;
  const all = [...pseudo, ...chips, keypad, keyboard, relayBoard].sort().join(' ');
  same(await openable(machine, ''), all, 'opened by root in the unit');
  const own = [...pseudo, ...chips, keypad, relayBoard].sort().join(' ');
  same(await openable(machine, as('kazasu', '--groups gpio')), own, 'opened by its user');
  same(await openable(machine, as('nobody', '--clear-groups')), pseudo.join(' '), 'opened by anybody else');
  return own;
}

/** The devices of the machine that a program which `as` starts in the cgroup of the unit can open, HID devices by their ids. */
async function openable(machine: Machine, as: string): Promise<string> {
  const opened = await machine.run(`(echo $BASHPID > ${group}/cgroup.procs
exec ${as} bash -c 'for file in $(find /dev -path /dev/pts -prune -o \\( -type b -o -type c \\) -print); do (: <> $file) 2> /dev/null && echo $file; done') | while read -r file; do
  hid=/sys/class/hidraw/\${file##*/}/device
  if [ -e $hid ]; then basename $(readlink -f $hid) | cut -c 6-14; else echo $file; fi
done`);
  return opened.split('\n').sort().join(' ');
}

async function opens({ watch, bus }: Rig, holder: string): Promise<void> {
  await calm(watch, 0);
  const before = bus.told.length;
  same(await tap(watch, 0, holder), 'granted', 'the lamps');
  await bus.next(locked, await bus.next(unlocked, before));
}

/** Unlocks by the exit request, does what is to be survived, and waits for the lock. */
async function whileUnlocked({ machine, bus }: Rig, action: string): Promise<void> {
  const moved = bus.next(unlocked);
  await pull(machine, inputs.exitRequest, 1);
  const since = await moved;
  await machine.run(action);
  await bus.next(locked, since);
  await pull(machine, inputs.exitRequest, 0);
}

/** How often `door lock` of ExecStopPost has said that the front door is locked. */
async function lockedAfterwards(machine: Machine): Promise<number> {
  return Number(await machine.run(`journalctl -u ${unit} -o cat | grep -c '^front: locked$' || true`));
}

async function stopped(rig: Rig): Promise<void> {
  const { machine } = rig;
  const before = await lockedAfterwards(machine);
  await whileUnlocked(rig, `systemctl stop ${unit}`);
  same(await lockedAfterwards(machine), before + 1, 'times that ExecStopPost locked');
  await machine.run(`systemctl start ${unit}`);
  await serves(machine, names);
}

/** Which of the two locks first depends on how slow the machine is. */
async function killed(rig: Rig): Promise<string> {
  const { machine } = rig;
  const before = await lockedAfterwards(machine);
  await whileUnlocked(rig, `systemctl kill -s KILL ${unit}`);
  await serves(machine, names);
  const after = await lockedAfterwards(machine);
  await opens(rig, 'holder-1');
  return after > before ? 'by ExecStopPost' : 'by the next start';
}

/** The card is held up to a door that cannot open; its grant must not reach the board that comes back. */
async function boardReplugged(rig: Rig): Promise<void> {
  const { machine, bus } = rig;
  await bus.unplug('relay-board');
  await machine.until(`${newest('door', 'front')} | grep 'event=fault fault=door-hardware-absent'`);
  const link = new VpcdLink({ slot: 0, whenLost: 'retry' });
  await link.insert(cardOf('holder-2'));
  await machine.until(`${newest('actuation', 'front')} | grep 'result=failed'`);
  link.remove();
  const before = bus.told.length;
  await bus.plug('relay-board');
  await bus.next(locked, before);
  await machine.until(`${newest('door', 'front')} | grep 'event=recovered'`);
  if (bus.told.includes(unlocked, before)) throw new Error('the board was unlocked when it came back');
  await opens(rig, 'holder-2');
}

/** The newest entry of a kind in the journal that concerns a door. */
function newest(kind: string, door: string): string {
  const words = `--database /var/lib/kazasu/journal.sqlite --kind ${kind} --door ${door} --limit 1`;
  return `cd /opt/kazasu && scripts/kazasu journal list ${words}`;
}

/** What has arrived at the text console since `listenToConsole`, the last key being `k` of the other keyboard. */
async function typedUntilOther({ machine, bus }: Rig): Promise<string> {
  await bus.press('keyboard', 'k');
  await machine.until(`tail -c 1 ${typed} | grep -q k`);
  return machine.run(`cat -v ${typed}`);
}

async function listenToConsole(machine: Machine): Promise<void> {
  await machine.run(
    `if [ ! -e ${typed} ]; then (stty raw -echo; exec cat) < /dev/tty1 >> ${typed} 2> /run/typing & fi
until stty -F /dev/tty1 -a | grep -q -e -icanon; do sleep 0.2; done
: > ${typed}`,
  );
}

async function typesNowhere(rig: Rig): Promise<void> {
  await listenToConsole(rig.machine);
  await rig.bus.press('keypad', '1', 'x', 'enter');
  same(await typedUntilOther(rig), 'k', 'what was typed');
}

/** Holds a card up at the side door and presses keys once the keypad is asked. */
async function tapWithPin({ watch, bus }: Rig, holder: string, ...keys: readonly string[]): Promise<Shown> {
  await calm(watch, 1);
  const asked = bus.next('keypad open');
  const shown = tap(watch, 1, holder, { patienceMs: pinMs });
  const early = await Promise.race([asked, shown]);
  if (typeof early === 'string') throw new Error(`${early} without a PIN`);
  await bus.press('keypad', ...keys);
  return shown;
}

async function pins(rig: Rig): Promise<void> {
  const before = rig.watch.changes.length;
  same(await tapWithPin(rig, 'holder-3', ...wrongPin, 'enter'), 'denied', 'with a wrong PIN');
  same(rig.watch.level(readers[1].strike), 0, 'strike of the side door');
  same(await tapWithPin(rig, 'holder-3', ...pinOfCards, 'enter'), 'granted', 'with the PIN');
  await rig.watch.next([{ line: readers[1].strike, level: 1 }], before);
}

async function keypadReplugged(rig: Rig): Promise<void> {
  const { watch, bus } = rig;
  const before = watch.changes.length;
  await calm(watch, 1);
  const asked = bus.next('keypad open');
  const shown = tap(watch, 1, 'holder-4', { patienceMs: pinMs });
  await asked;
  await bus.press('keypad', ...pinOfCards);
  await bus.unplug('keypad');
  same(await shown, 'denied', 'unplugged before Enter');
  await calm(watch, 1);
  same(await tap(watch, 1, 'holder-4'), 'denied', 'without a keypad');
  if (watch.changes.slice(before).some(({ line, level }) => line === readers[1].strike && level === 1))
    throw new Error('the side door was unlocked');
  await bus.plug('keypad');
  same(await tapWithPin(rig, 'holder-4', ...pinOfCards, 'enter'), 'granted', 'plugged in again');
}

async function refusesTyping(rig: Rig): Promise<void> {
  const { machine, watch, bus } = rig;
  await machine.run(`echo 0 | tee /sys/bus/hid/devices/0003:04D9:A02A.*/input/input*/inhibited`);
  await listenToConsole(machine);
  await bus.press('keypad', 'x');
  same(await typedUntilOther(rig), 'xk', 'what was typed');
  await calm(watch, 1);
  same(await tap(watch, 1, 'holder-5'), 'denied', 'while the keypad types');
  await machine.run('udevadm trigger --subsystem-match=input && udevadm settle');
  same(await tapWithPin(rig, 'holder-5', ...pinOfCards, 'enter'), 'granted', 'after the rules were applied');
}
