/** An enrolled device at which people hold up cards without end. First argument: its folder, then its name. */
import 'reflect-metadata';
import { setTimeout as pass } from 'node:timers/promises';
import { ConnectedDevice } from '../terminal/connected-device.ts';

const [directory = '', name = '', reserveMiB = '8'] = process.argv.slice(2);
const device = await ConnectedDevice.start(directory, name, Number(reserveMiB));
const users = ['USER0001', 'USER0002', 'USER0003'];
let tapping = true;
process.on('message', (message: { readonly tap: string } | 'rest') => {
  if (message === 'rest') tapping = false;
  else void device.tap(message.tap).then(({ result, reason }) => process.send?.({ result, reason }));
});
process.send?.('ready');
for (let tap = 0; ; tap += 1) {
  if (tapping) await device.tap(users[tap % users.length] ?? '');
  await pass(50);
}
