import { afterEach, expect, it, vi } from 'vitest';
import type { GuardOffer } from '#adapters/process/door-guard-protocol.ts';
import { GuardedDoor } from '#adapters/process/guarded-door.ts';
import { Link } from '#adapters/process/link.ts';
import type { DoorInput } from '#ports/door.ts';

afterEach(() => {
  vi.useRealTimers();
});

it('replaces a guard that does not come to an end with locking a door for the first time', async () => {
  vi.useFakeTimers();
  const silent = new Link<GuardOffer>({ send: () => undefined }, {});
  let replaced = 0;
  const door = new GuardedDoor('front', {
    link: () => silent,
    replace: () => {
      replaced += 1;
    },
  });
  const inputs: DoorInput[] = [];
  const started = door.start((input) => inputs.push(input));
  await vi.advanceTimersByTimeAsync(10_000);
  await started;
  expect(inputs).toMatchObject([{ kind: 'fault', fault: { code: 'door-process-lost' } }]);
  expect(replaced).toBe(1);
});
