import { fileURLToPath } from 'node:url';
import { afterEach, expect, it } from 'vitest';
import { SupervisedChild } from '#adapters/process/supervised-child.ts';
import type { Fault } from '#core/fault.ts';
import type { ObedientOffer } from './obedient-child.ts';

const { execPath } = process;
let child: SupervisedChild<ObedientOffer> | undefined;
afterEach(async () => {
  process.execPath = execPath;
  await child?.stop();
});

it('bears a child that takes long to load', async () => {
  const lost: Fault[] = [];
  const loaded = new Promise<void>((resolve) => {
    child = new SupervisedChild<ObedientOffer>({
      module: fileURLToPath(new URL('./slow-child.ts', import.meta.url)),
      offer: { loaded: () => resolve() },
      started: async () => undefined,
      lost: (fault) => lost.push(fault),
    });
    child.start();
  });
  await loaded;
  expect(lost).toEqual([]);
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
