import { expect, it } from 'vitest';
import { Fault } from '#core/fault.ts';
import { Repeated } from '#issuance/repeated.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';

it('does it at once when asked to, once more where it was asked meanwhile, and again after its time', async () => {
  const clock = new SimulatedClock({ utcMs: 0 });
  const begun: PromiseWithResolvers<void>[] = [];
  const faults: string[] = [];
  const repeated = new Repeated({
    clock,
    everyMs: 1_000,
    action: () => {
      const one = Promise.withResolvers<void>();
      begun.push(one);
      return one.promise;
    },
    failed: (fault) => void faults.push(fault.code),
  });
  const end = async (at: number, fault?: Fault) => {
    if (fault) begun[at]?.reject(fault);
    else begun[at]?.resolve();
    for (let turn = 0; turn < 5; turn += 1) await undefined;
  };
  repeated.look();
  expect(begun).toHaveLength(1);
  repeated.look();
  repeated.look();
  expect(begun).toHaveLength(1);
  await end(0);
  expect(begun).toHaveLength(2);
  await end(1);
  expect(begun).toHaveLength(2);
  clock.advance(999);
  expect(begun).toHaveLength(2);
  clock.advance(1);
  expect(begun).toHaveLength(3);
  // what fails is tried again after its time, and not at once
  repeated.look();
  await end(2, new Fault('database-unavailable', 'away'));
  expect([begun.length, faults]).toEqual([3, ['database-unavailable']]);
  clock.advance(1_000);
  expect(begun).toHaveLength(4);
  let stopped = false;
  const stopping = repeated.stop().then(() => {
    stopped = true;
  });
  await end(3);
  await stopping;
  clock.advance(10_000);
  repeated.look();
  expect([begun.length, stopped]).toEqual([4, true]);
});
