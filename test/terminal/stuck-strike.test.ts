import { expect, it } from 'vitest';
import { Bench } from './terminal-fixture.ts';

it('tries a stuck strike again and again while somebody presses to get out, but not without pause', async () => {
  const bench = new Bench();
  await bench.terminal.start();
  await bench.settle();
  const door = bench.doors.get('door-1');
  door?.misbehave({ stuck: 'locked' });
  bench.strikes.length = 0;
  door?.pressExit(true);
  await bench.clock.advanceAsync(10_000);
  expect(bench.strikes.length).toBeGreaterThan(10);
  expect(bench.strikes.length).toBeLessThan(100);
  expect(bench.journal.records.length).toBeLessThan(200);
  door?.misbehave({});
  await bench.clock.advanceAsync(1_000);
  expect(bench.locked()).toBe(false);
  door?.pressExit(false);
  await bench.terminal.stop();
});
