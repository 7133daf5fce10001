import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { root } from './base.ts';
import { boot } from './boot.ts';
import { contracts } from './contracts.ts';
import { Device } from './device.ts';
import { failingDisk } from './failing-disk.ts';
import { gpio } from './gpio.ts';
import { powerCuts } from './power-cut.ts';
import { cardReaders } from './readers.ts';
import { Report, type Row } from './report.ts';
import { service } from './service.ts';
import { usb } from './usb.ts';

/** Everything that is shown on the emulated device: see docs/hardware-test.md. Run by scripts/hardware-test. */
const { values } = parseArgs({
  options: {
    smoke: { type: 'boolean', default: false },
    soak: { type: 'boolean', default: false },
    /** shows that the power cuts find a journal that does not wait for the disk: they fail */
    weakened: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true },
    /** that other machines run beside these: one processor is faster for each of them, and two for one that is alone */
    beside: { type: 'boolean', default: false },
  },
});
const { smoke, soak, weakened } = values;
const cuts = smoke ? 1 : soak ? 100 : 20;
/** Those that take longest first, as two run at a time. */
const scenarios: Readonly<Record<string, () => Promise<void>>> = {
  gpio: () => gpio(device, report),
  'power-cuts': () => powerCuts(device, report, { cuts, weakened }),
  contracts: () => contracts(device, report),
  readers: () => cardReaders(device, report),
  boot: () => boot(device, report),
  service: () => service(device, report, smoke),
  usb: () => usb(device, report),
  'failing-disk': () => failingDisk(device, report),
};
const names = Object.keys(scenarios);
for (const name of values.only ?? []) {
  if (scenarios[name]) continue;
  throw new Error(`there is no "${name}"; possible: ${names.join(', ')}`);
}
// a signal alone would leave the machine running, and so would the end of the tests beside which these run
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1));
const orphaned = () => process.exit(1);
process.once('disconnect', orphaned);
const report = new Report((row) => process.send?.(row));
const began = performance.now();
const device = await Device.prepare(values.beside ? 1 : 2);
if (values.only || smoke || availableParallelism() === 1)
  await oneAfterTheOther(values.only ?? (smoke ? ['service', 'power-cuts'] : names));
else for (const rows of await twoAtATime()) report.take(rows);
report.print();
process.stdout.write(`${((performance.now() - began) / 60_000).toFixed(1)} minutes\n`);
process.exitCode = report.failed > 0 ? 1 : 0;
process.off('disconnect', orphaned);
if (process.connected) process.disconnect();

async function oneAfterTheOther(names: readonly string[]): Promise<void> {
  for (const name of names) {
    try {
      await scenarios[name]?.();
    } catch (error) {
      await report.show(`${name}: the machine for it`, () => Promise.reject(error));
    }
  }
}

/** Runs each part beside another, in machines of its own: on two cores in half of the time. Resolves with the rows of each. */
async function twoAtATime(): Promise<readonly (readonly Row[])[]> {
  const waiting = [...names];
  const shown = new Map<string, readonly Row[]>();
  const lane = async () => {
    for (let name = waiting.shift(); name; name = waiting.shift()) shown.set(name, await beside(name));
  };
  await Promise.all([lane(), lane()]);
  return names.map((name) => shown.get(name) ?? []);
}

/** Runs a part in a process of its own, whose ports meet no other's; resolves with the rows of its table. */
async function beside(name: string): Promise<readonly Row[]> {
  const words = [import.meta.filename, '--beside', '--only', name];
  const options = [...(soak ? ['--soak'] : []), ...(weakened ? ['--weakened'] : [])];
  const child = spawn(join(root, 'scripts/pcsc-sandbox'), [process.execPath, ...words, ...options], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const rows: Row[] = [];
  child.on('message', (row) => rows.push(row as Row));
  const [code] = await once(child, 'close');
  const expected = rows.some(({ result }) => result === 'FAIL') ? 1 : 0;
  if (code === expected && rows.length > 0) return rows;
  const what = `${name}: shown to the end`;
  return [...rows, { what, result: 'FAIL', figure: `the tests ended with ${code}`, seconds: 0 }];
}
