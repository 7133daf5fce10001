import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { DoorGuard } from '#adapters/process/door-guard.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';
import { SimulatedDoor } from '#simulators/door/simulated-door.ts';
import { SimulatedDoorHardware } from '#simulators/door/simulated-hardware.ts';

describe('the guard of a terminal that falls silent', () => {
  it('locks a strike that was unlocked while the lock before it was still under way', async () => {
    const clock = new SimulatedClock({ utcMs: 0 });
    const after = clock.after.bind(clock);
    const door = new SimulatedDoor({ id: 'front', clock, record: () => undefined });
    const doors = new Map([['front', new SimulatedDoorHardware({ line: door, after })]]);
    const guard = new DoorGuard({
      tell: () => undefined,
      after,
      monotonicMs: () => clock.monotonicUs() / 1e3,
    });
    const offer = guard.offer();
    const module = fileURLToPath(new URL('./given-hardware.ts', import.meta.url));
    await offer.open([{ module, options: { doors, indicators: new Map() } }]);
    await offer.startDoor('front');
    await offer.unlock({ door: 'front', limitMs: 5_000 });
    door.misbehave({ slowMs: 20 });
    const commands = [offer.lock('front'), offer.unlock({ door: 'front', limitMs: 5_000 })];
    await clock.advanceAsync(100);
    await Promise.all(commands);
    expect(door.wires().locked).toBe(false);
    await clock.advanceAsync(1_500);
    expect(door.wires().locked).toBe(true);
  });
});
