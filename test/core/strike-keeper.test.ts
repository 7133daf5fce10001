import { describe, expect, it } from 'vitest';
import { StrikeKeeper, type StrikeReport } from '#core/access/strike-keeper.ts';
import { Fault } from '#core/fault.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';

interface Command {
  readonly locked: boolean;
  readonly obey: () => void;
  readonly fail: () => void;
}

/** A strike whose hardware answers each command when the test says so. */
class SlowStrike {
  readonly clock = new SimulatedClock({ utcMs: 0 });
  readonly commands: Command[] = [];
  readonly reports: StrikeReport[] = [];
  locked = true;
  readonly keeper = new StrikeKeeper({
    set: (locked) =>
      new Promise((resolve, reject) => {
        const obey = (): void => {
          this.locked = locked;
          resolve(locked);
        };
        this.commands.push({
          locked,
          obey,
          fail: () => reject(new Fault('door-hardware-absent', 'unplugged')),
        });
      }),
    after: this.clock.after.bind(this.clock),
    report: (report) => this.reports.push(report),
  });

  async begin(): Promise<void> {
    const started = this.keeper.start();
    await this.answer('obey');
    await started;
  }

  async answer(how: 'obey' | 'fail'): Promise<void> {
    await this.clock.advanceAsync(0);
    this.commands.shift()?.[how]();
    await this.clock.advanceAsync(0);
  }
}

describe('a strike whose hardware is slow', () => {
  it('keeps a later unlock (an exit request) when an earlier one fails', async () => {
    const strike = new SlowStrike();
    await strike.begin();
    const grant = strike.keeper.unlock(5_000).catch((error: unknown) => error);
    const exit = strike.keeper.unlock(5_000);
    await strike.answer('fail');
    await strike.answer('obey');
    await exit;
    expect(await grant).toMatchObject({ code: 'door-hardware-absent' });
    await strike.clock.advanceAsync(1_000);
    expect(strike.commands).toEqual([]);
    expect(strike.locked).toBe(false);
  });

  it('goes on locking after a lock that failed behind an unlock that failed', async () => {
    const strike = new SlowStrike();
    await strike.begin();
    const unlock = strike.keeper.unlock(5_000).catch(() => undefined);
    await strike.clock.advanceAsync(0);
    const lock = strike.keeper.lock().catch(() => undefined);
    await strike.answer('fail');
    await strike.answer('fail');
    await Promise.all([unlock, lock]);
    await strike.clock.advanceAsync(250);
    expect(strike.commands.map(({ locked }) => locked)).toEqual([true]);
  });

  it('never carries out an unlock that waited behind another command while locking was ordered', async () => {
    const strike = new SlowStrike();
    await strike.begin();
    const first = strike.keeper.unlock(5_000);
    await strike.clock.advanceAsync(0);
    const waiting = strike.keeper.unlock(5_000).catch((error: unknown) => error);
    const lock = strike.keeper.lock();
    await strike.answer('obey');
    expect(strike.commands.map(({ locked }) => locked)).toEqual([true]);
    await strike.answer('obey');
    await Promise.all([first, lock]);
    expect(await waiting).toMatchObject({ code: 'door-hardware-failed' });
    expect(strike.locked).toBe(true);
    expect(strike.reports.filter(({ kind }) => kind === 'fault')).toEqual([]);
  });

  it('locks again after an unlock that failed', async () => {
    const strike = new SlowStrike();
    await strike.begin();
    const unlock = strike.keeper.unlock(5_000).catch(() => undefined);
    await strike.answer('fail');
    await unlock;
    await strike.clock.advanceAsync(250);
    expect(strike.commands.map(({ locked }) => locked)).toEqual([true]);
  });
});
