/**
 * An enrolled device at which a card is held up each `everyMs`, whether the one before was answered or not. It is told
 * its folder and its name, answers when it runs, and told anything more it ends its taps and answers with them.
 */
import 'reflect-metadata';
import { once } from 'node:events';
import { setTimeout as passed } from 'node:timers/promises';
import { ConnectedDevice } from '../terminal/connected-device.ts';

/** When a card was held up, in milliseconds since the epoch, how long until it was decided about, and as what. */
export interface TimedTap {
  readonly atMs: number;
  readonly tookMs: number;
  readonly result: string;
}

const everyMs = 50;
const [[directory, name]] = (await once(process, 'message')) as [[directory: string, name: string]];
const device = await ConnectedDevice.start(directory, name, 32);
const taps: Promise<TimedTap>[] = [];
let tapping = true;
process.once('message', () => {
  tapping = false;
});
// its policy is on the way
while ((await device.tap('USER0001')).result !== 'granted') await passed(everyMs);
process.send?.('ready');
for (let dueMs = performance.now(); tapping; dueMs += everyMs) {
  await passed(Math.max(0, dueMs - performance.now()));
  const began = performance.now();
  const answered = device.tap('USER0001');
  taps.push(
    answered.then(({ result }) => ({
      atMs: performance.timeOrigin + began,
      tookMs: performance.now() - began,
      result,
    })),
  );
}
process.send?.(await Promise.all(taps), () => device.stop().then(() => process.disconnect()));
