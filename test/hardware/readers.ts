import { parse, stringify } from 'yaml';
import { readers, terminalYaml } from './configuration.ts';
import { type Device, withFolder } from './device.ts';
import { LineWatch } from './lines.ts';
import type { Machine } from './machine.ts';
import { type Report, same } from './report.ts';
import { calm, tap } from './tap.ts';
import { becomes, placeInLog, serves, unit } from './unit.ts';
import { UsbReader } from './usb-reader.ts';

/** how pcscd names qemu's reader, by its ids, and by the port that it is in */
const usbReaderName =
  'Gemalto Gemplus USB SmartCard Reader 433-Swap [CCID Interface] (1-0000:00:05.0-1) 00 00';

interface Rig {
  readonly machine: Machine;
  readonly watch: LineWatch;
  readonly usb: UsbReader;
}

/** A reader on USB that comes and goes, and a card service that is restarted and dies, while the terminal runs. */
export function cardReaders(device: Device, report: Report): Promise<void> {
  return withFolder(async (folder) => {
    const machine = await device.start('resumed', folder);
    const lamps = readers.flatMap(({ granted, denied }) => [granted, denied]);
    const watch = new LineWatch(machine, lamps);
    try {
      await showReaders({ machine, watch, usb: await UsbReader.make(machine, folder) }, report);
    } finally {
      watch.stop();
      await machine.cut();
    }
  });
}

async function showReaders(rig: Rig, report: Report): Promise<void> {
  const { machine } = rig;
  await report.show('USB reader: absent at the start, the other reader serves', () => startsWithout(rig));
  const before = await processes(machine);
  await report.show('USB reader: plugged in, a card is granted', () => plugged(rig, 'holder-11'));
  await report.show('USB reader: unplugged, the other serves; plugged in again, it serves', () =>
    replugged(rig),
  );
  await report.show('pcscd restarted: cards are granted at both readers', () =>
    served(rig, 'systemctl restart pcscd', 'holder-13'),
  );
  await report.show('pcscd killed: cards are granted at both readers', () =>
    served(rig, 'systemctl kill -s KILL pcscd', 'holder-14'),
  );
  await report.show('readers and pcscd: all of it without a restart of the terminal', async () =>
    same(await processes(machine), before, 'process and restarts of the terminal'),
  );
}

/** Main process of the terminal, and how often systemd has started it anew. */
function processes(machine: Machine): Promise<string> {
  return machine.run(`systemctl show -p MainPID -p NRestarts ${unit}`);
}

/** terminal.yaml with the reader on USB in place of the second of vpcd. */
function terminalWithUsbReader(): string {
  const terminal = parse(terminalYaml());
  terminal.readers[1].name = usbReaderName;
  return stringify(terminal);
}

async function startsWithout({ machine, watch }: Rig): Promise<void> {
  await machine.write('/etc/kazasu/terminal.yaml', terminalWithUsbReader(), '-m 0640 -g kazasu');
  await machine.run(`systemctl restart ${unit}`);
  await serves(machine, [readers[0].name]);
  await calm(watch, 0);
  same(await tap(watch, 0, 'holder-10'), 'granted', 'at the other reader');
}

async function plugged({ machine, watch, usb }: Rig, holder: string): Promise<void> {
  const before = await placeInLog(machine);
  await usb.plug();
  await serves(machine, [usbReaderName], before);
  await calm(watch, 1);
  same(await tap(watch, 1, holder, { hand: usb }), 'granted', 'at the reader on USB');
}

async function replugged(rig: Rig): Promise<void> {
  const { machine, watch, usb } = rig;
  const before = await placeInLog(machine);
  await usb.unplug();
  await becomes(machine, { name: usbReaderName, state: 'absent', after: before });
  await calm(watch, 0);
  same(await tap(watch, 0, 'holder-12'), 'granted', 'at the other reader meanwhile');
  await plugged(rig, 'holder-12');
}

async function served({ machine, watch, usb }: Rig, action: string, holder: string): Promise<void> {
  const before = await placeInLog(machine);
  await machine.run(action);
  await serves(machine, [readers[0].name, usbReaderName], before);
  await calm(watch, 0);
  same(await tap(watch, 0, holder), 'granted', 'at the reader of vpcd');
  await calm(watch, 1);
  same(await tap(watch, 1, holder, { hand: usb }), 'granted', 'at the reader on USB');
}
