import { expect, test } from 'vitest';
import { Fault } from '#core/fault.ts';
import { Bench } from './terminal-fixture.ts';

const alarms = (bench: Bench) =>
  bench.journal.records.filter(({ kind }) => kind === 'alarm').map(({ body }) => body);

test('an opened housing erases the keys at once, and the journal says so', async () => {
  let erased = 0;
  const erase = async () => {
    erased += 1;
  };
  const bench = new Bench({ keyErasure: { erase } });
  await bench.terminal.start();
  expect(erased).toBe(0);
  bench.doors.get('door-2')?.tamper(true);
  expect(erased).toBe(1);
  await bench.settle();
  expect(alarms(bench)).toEqual([
    { door: 'door-2', alarm: 'tamper', on: true },
    { door: 'door-2', alarm: 'keys-erased', on: true },
  ]);
  bench.doors.get('door-2')?.tamper(false);
  await bench.settle();
  expect(erased).toBe(1);
  await bench.terminal.stop();
});

test('a start with the housing open erases the keys at once', async () => {
  let erased = 0;
  const erase = async () => {
    erased += 1;
  };
  const bench = new Bench({ keyErasure: { erase } });
  bench.doors.get('door-1')?.tamper(true);
  await bench.terminal.start();
  await bench.settle();
  expect(erased).toBe(1);
  expect(alarms(bench)).toContainEqual({ door: 'door-1', alarm: 'keys-erased', on: true });
  await bench.terminal.stop();
});

test('an orderly stop waits for an erasure under way, and for its entry', async () => {
  let finish: (() => void) | undefined;
  const erased = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const bench = new Bench({ keyErasure: { erase: () => erased } });
  await bench.terminal.start();
  bench.doors.get('door-1')?.tamper(true);
  const stopped = bench.terminal.stop();
  await bench.settle();
  expect(bench.journal.stopped).toBe(false);
  finish?.();
  await stopped;
  expect(bench.journal.records.slice(-2).map(({ body }) => body)).toEqual([
    { door: 'door-1', alarm: 'keys-erased', on: true },
    { event: 'stopped', terminal: 'test' },
  ]);
  expect(bench.journal.stopped).toBe(true);
});

test('keys that could not be destroyed are an alarm of their own', async () => {
  const erase = async () => {
    throw new Fault('key-file-invalid', 'read-only');
  };
  const bench = new Bench({ keyErasure: { erase } });
  await bench.terminal.start();
  bench.doors.get('door-1')?.tamper(true);
  await bench.settle();
  expect(alarms(bench)).toContainEqual({
    door: 'door-1',
    alarm: 'keys-not-erased',
    on: true,
    fault: 'key-file-invalid',
  });
  await bench.terminal.stop();
});

test('a device that holds no keys of its own has the alarm alone', async () => {
  const bench = new Bench();
  await bench.terminal.start();
  bench.doors.get('door-1')?.tamper(true);
  await bench.settle();
  expect(alarms(bench)).toEqual([{ door: 'door-1', alarm: 'tamper', on: true }]);
  await bench.terminal.stop();
});
