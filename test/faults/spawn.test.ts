import { fileURLToPath } from 'node:url';
import { afterEach, expect, it, vi } from 'vitest';
import type { Link } from '#adapters/process/link.ts';
import { SupervisedChild } from '#adapters/process/supervised-child.ts';
import type { Fault } from '#core/fault.ts';
import type { ObedientOffer } from './obedient-child.ts';

const { execPath } = process;
let child: SupervisedChild<ObedientOffer> | undefined;
afterEach(async () => {
  vi.useRealTimers();
  process.execPath = execPath;
  await child?.stop();
});

/** Starts a child that takes four seconds to load. */
function startSlow() {
  const lost: Fault[] = [];
  let started = 0;
  let tellLost: () => void = () => undefined;
  const firstLost = new Promise<void>((resolve) => (tellLost = resolve));
  const loaded = new Promise<void>((resolve) => {
    child = new SupervisedChild<ObedientOffer>({
      module: fileURLToPath(new URL('./slow-child.ts', import.meta.url)),
      offer: { loaded: () => resolve() },
      started: async () => {
        started += 1;
      },
      lost: (fault) => {
        lost.push(fault);
        tellLost();
      },
    });
    child.start();
  });
  return { lost, firstLost, loaded, started: () => started };
}

it('bears a child that takes long to load, and begins with it once it has', async () => {
  const { lost, loaded, started } = startSlow();
  expect(started()).toBe(0);
  await loaded;
  expect(started()).toBe(1);
  expect(lost).toEqual([]);
});

it('gives a child more time to load than the one before, which had too little', async () => {
  vi.useFakeTimers({
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'],
  });
  const { lost, firstLost, loaded, started } = startSlow();
  await vi.advanceTimersByTimeAsync(10_500);
  await firstLost;
  await vi.advanceTimersByTimeAsync(100);
  const second = child?.pid();
  await vi.advanceTimersByTimeAsync(17_000);
  await loaded;
  expect(lost).toHaveLength(1);
  expect(started()).toBe(1);
  expect(child?.pid()).toBe(second);
});

it('bears one that loads more modules when it is begun with, and not its silence afterwards', async () => {
  const lost: Fault[] = [];
  const begun = new Promise<void>((resolve) => {
    child = new SupervisedChild<ObedientOffer>({
      module: fileURLToPath(new URL('./obedient-child.ts', import.meta.url)),
      offer: {},
      started: async (link) => {
        await (link as unknown as Link<ObedientOffer>).call('block', 4_000 as never, 30_000);
        resolve();
      },
      lost: (fault) => lost.push(fault),
    });
    child.start();
  });
  await begun;
  expect(lost).toEqual([]);
  child?.link().notify('block', 60_000 as never);
  await expect.poll(() => lost.length, { timeout: 5_000 }).toBe(1);
});

it('starts a child again that the system could not start, and stops while there is none', async () => {
  const lost: Fault[] = [];
  process.execPath = '/nonexistent/node';
  child = new SupervisedChild<ObedientOffer>({
    module: fileURLToPath(new URL('./obedient-child.ts', import.meta.url)),
    offer: {},
    started: async () => undefined,
    lost: (fault) => lost.push(fault),
  });
  child.start();
  await expect.poll(() => lost.length, { timeout: 5_000 }).toBeGreaterThan(0);
  expect(lost[0]).toMatchObject({ code: 'process-lost' });
  await child.stop();
  process.execPath = execPath;
  child.start();
  await expect.poll(() => child?.pid(), { timeout: 5_000 }).toBeTypeOf('number');
});
