import { parseArgs } from 'node:util';
import { boot } from './boot.ts';
import { Device } from './device.ts';
import { failingDisk } from './failing-disk.ts';
import { gpio } from './gpio.ts';
import { powerCuts } from './power-cut.ts';
import { cardReaders } from './readers.ts';
import { Report } from './report.ts';
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
  },
});
const { smoke, soak, weakened } = values;
const cuts = smoke ? 1 : soak ? 100 : 20;
const scenarios: Readonly<Record<string, () => Promise<void>>> = {
  service: () => service(device, report, smoke),
  boot: () => boot(device, report),
  gpio: () => gpio(device, report),
  usb: () => usb(device, report),
  readers: () => cardReaders(device, report),
  'failing-disk': () => failingDisk(device, report),
  'power-cuts': () => powerCuts(device, report, { cuts, weakened }),
};
for (const name of values.only ?? []) {
  if (scenarios[name]) continue;
  throw new Error(`there is no "${name}"; possible: ${Object.keys(scenarios).join(', ')}`);
}
// a signal alone would leave the machine running
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1));
const report = new Report();
const began = performance.now();
const device = await Device.prepare();
const short = ['service', 'power-cuts'];
for (const name of values.only ?? (smoke ? short : Object.keys(scenarios))) {
  try {
    await scenarios[name]?.();
  } catch (error) {
    await report.show(`${name}: the machine for it`, () => Promise.reject(error));
  }
}
report.print();
process.stdout.write(`${((performance.now() - began) / 60_000).toFixed(1)} minutes\n`);
process.exitCode = report.failed > 0 ? 1 : 0;
