import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { doorSettingsSchema } from '#core/access/door-settings.ts';
import { Fault } from '#core/fault.ts';
import type { CommandAction } from '#core/sync/command.ts';
import { doorRules } from '../policy-slices.ts';
import { CommandBench } from './command-bench.ts';
import { Bench, type BenchOptions, type MemoryJournal } from './terminal-fixture.ts';

const unlock: CommandAction = { kind: 'unlock-once', door: 'door-1' };
const hold: CommandAction = { kind: 'hold', door: 'door-1', seconds: 600 };

let bench: Bench;
let commands: CommandBench;

async function begin(options: BenchOptions = {}): Promise<void> {
  bench = new Bench({ into: 'hall', ...options });
  commands = new CommandBench(bench);
  await bench.terminal.start();
  await bench.settle();
}
async function restart(journal: MemoryJournal = bench.journal): Promise<void> {
  await bench.terminal.stop();
  await begin({ journal });
}
const opened = (door = 'door-1') => bench.strikes.some((one) => one.door === door && !one.locked);
const fact = (key: string) => bench.journal.facts.get('')?.get(key);

beforeEach(() => begin());
afterEach(() => bench.terminal.stop());

describe('what stands above a command refuses it', () => {
  it.each<[string, CommandAction]>([
    ['lockdown', { kind: 'lockdown' }],
    ['lockdown', { kind: 'lockdown', zones: ['hall'] }],
    ['evacuation', { kind: 'evacuation' }],
  ])('%s, declared by %o, until it is ended', async (outcome, declare) => {
    expect(await commands.tell(declare)).toMatchObject({ outcome: 'done' });
    expect(await commands.tell(unlock)).toMatchObject({ outcome });
    expect(await commands.tell(hold)).toMatchObject({ outcome });
    expect(opened()).toBe(false);
    const before = commands.entries().at(-1);
    expect(before).toMatchObject({ command: 'hold', outcome });
    const end = declare.kind === 'lockdown' ? 'end-lockdown' : 'end-evacuation';
    expect(await commands.tell({ kind: end })).toMatchObject({ outcome: 'done' });
    expect(await commands.tell(unlock)).toMatchObject({ outcome: 'done' });
  });

  it('fire, which a panel declares and a command can end', async () => {
    await bench.terminal.stop();
    const rules = [
      {
        when: { input: 'panel', is: 'on' as const },
        do: [{ condition: 'fire' as const, set: 'on' as const }],
      },
    ];
    const automation = { inputs: ['panel'], outputs: [], rules };
    await begin({ settings: { automation }, hardware: ['input:panel'] });
    bench.doors.get('input:panel')?.force();
    await bench.settle();
    expect(await commands.tell(unlock)).toMatchObject({ outcome: 'fire' });
    expect(await commands.tell(hold)).toMatchObject({ outcome: 'fire' });
    expect(opened()).toBe(false);
    await commands.tell({ kind: 'end-fire' });
    expect(fact('site/fire')).toBeUndefined();
    expect(await commands.tell(unlock)).toMatchObject({ outcome: 'done' });
  });

  it('another door of the interlock', async () => {
    await bench.terminal.stop();
    await begin({ settings: { interlocks: [['door-1', 'door-2']] } });
    bench.doors.get('door-2')?.force();
    await bench.settle();
    expect(await commands.tell(unlock)).toMatchObject({ outcome: 'interlock-busy' });
    expect(opened()).toBe(false);
    bench.doors.get('door-2')?.close();
    await bench.clock.advanceAsync(1_000);
    expect(await commands.tell(unlock)).toMatchObject({ outcome: 'done' });
    expect(await commands.tell({ kind: 'unlock-once', door: 'door-2' })).toMatchObject({
      outcome: 'interlock-busy',
    });
  });

  it('the housing that is open', async () => {
    bench.doors.get('door-1')?.tamper(true);
    await bench.settle();
    expect(await commands.tell(unlock)).toMatchObject({ outcome: 'tampered' });
    expect(await commands.tell(hold)).toMatchObject({ outcome: 'tampered' });
    expect(opened()).toBe(false);
    expect(await commands.tell({ ...unlock, door: 'door-2' })).toMatchObject({ outcome: 'done' });
  });

  it('a lockdown declared while the entry is on its way to the disk', async () => {
    let free = (): void => undefined;
    bench.journal.gate = new Promise((resolve) => {
      free = resolve;
    });
    const result = bench.terminal.commands.execute(commands.command(unlock), 'local');
    await bench.settle();
    const locked = bench.terminal.commands.execute(commands.command({ kind: 'lockdown' }), 'local');
    expect(await locked).toMatchObject({ outcome: 'done' });
    free();
    await bench.settle();
    expect(await result).toMatchObject({ outcome: 'lockdown' });
    expect(opened()).toBe(false);
  });

  it('and nothing below: neither permissions, nor a policy that is not there', async () => {
    bench.policy.installed = undefined;
    expect(await commands.tell(unlock)).toMatchObject({ outcome: 'done' });
  });
});

describe('a hold by command', () => {
  it('holds the door for its time, by time that never steps', async () => {
    expect(await commands.tell(hold)).toMatchObject({ outcome: 'done' });
    expect(bench.locked()).toBe(false);
    bench.clock.stepUtc(-7_200_000);
    await bench.clock.advanceAsync(599_000);
    expect(bench.locked()).toBe(false);
    await bench.clock.advanceAsync(1_001);
    expect(bench.locked()).toBe(true);
    const events = bench.journal.records.flatMap(({ kind, body }) => (kind === 'door' ? [body] : []));
    expect(events).toContainEqual({ door: 'door-1', event: 'held-unlocked', hold: 'command' });
    expect(events).toContainEqual({ door: 'door-1', event: 'hold-ended', hold: 'command' });
  });

  it('for some time is over after a restart in another boot', async () => {
    await commands.tell(hold);
    await restart();
    expect(bench.locked(), 'the same boot').toBe(false);
    await bench.terminal.stop();
    const { journal } = bench;
    bench = new Bench({ into: 'hall', journal });
    bench.clock.reboot('another boot');
    await bench.terminal.start();
    await bench.settle();
    expect(bench.locked()).toBe(true);
  });

  it('until a moment outlasts a restart, and holds nothing while the clock may be wrong', async () => {
    const untilMs = bench.clock.utcMs() + 3_600_000;
    expect(await commands.tell({ kind: 'hold', door: 'door-1', untilMs })).toMatchObject({ outcome: 'done' });
    const { journal } = bench;
    await bench.terminal.stop();
    bench = new Bench({ into: 'hall', journal });
    bench.clock.reboot('another boot');
    await bench.terminal.start();
    await bench.settle();
    expect(bench.locked()).toBe(false);
    bench.clock.trust(false);
    await bench.clock.advanceAsync(60_000);
    expect(bench.locked()).toBe(true);
    bench.clock.trust(true);
    await bench.clock.advanceAsync(60_000);
    expect(bench.locked()).toBe(false);
    await bench.clock.advanceAsync(untilMs - bench.clock.utcMs());
    expect(bench.locked()).toBe(true);
  });

  it('until a moment that has passed, is too far ahead, or that nobody can tell, is refused', async () => {
    const nowMs = bench.clock.utcMs();
    const until = (untilMs: number) => commands.tell({ kind: 'hold', door: 'door-1', untilMs });
    expect(await until(nowMs)).toMatchObject({ outcome: 'time-past' });
    expect(await until(nowMs + 7 * 86_400_000 + 1)).toMatchObject({ outcome: 'time-past' });
    bench.clock.trust(false);
    expect(await until(nowMs + 60_000)).toMatchObject({ outcome: 'time-unknown' });
    expect(opened()).toBe(false);
  });

  it('gives way to a lockdown, and goes on after it', async () => {
    await commands.tell(hold);
    await commands.tell({ kind: 'lockdown' });
    expect(bench.locked()).toBe(true);
    await commands.tell({ kind: 'end-lockdown' });
    expect(bench.locked()).toBe(false);
  });

  it('ends with the command to go back to the schedule, and so does what a card holds', async () => {
    await commands.tell(hold);
    await commands.tell({ kind: 'resume', door: 'door-1' });
    expect(bench.locked()).toBe(true);
    const rules = doorRules({
      id: 'door-1',
      assurance: ['mutual-authentication'],
      toggle: { groups: ['staff'] },
    });
    bench.policy.doors.set('door-1', rules);
    bench.permit('A000000001', { rules });
    await bench.clock.advanceAsync(60_000);
    await bench.tap();
    await bench.clock.advanceAsync(10_000);
    expect(bench.locked(), 'held by the card').toBe(false);
    expect(await commands.tell({ kind: 'resume', door: 'door-1' })).toMatchObject({ outcome: 'done' });
    expect(bench.locked()).toBe(true);
  });

  it('is not begun when the disk takes no entry', async () => {
    bench.journal.fault = new Fault('journal-unwritable', 'read-only');
    expect(await commands.tell(hold)).toMatchObject({ outcome: 'journal-unwritable' });
    bench.journal.fault = undefined;
    await bench.clock.advanceAsync(60_000);
    expect(opened()).toBe(false);
  });

  it('is not begun once the disk took too long', async () => {
    let free = (): void => undefined;
    bench.journal.gate = new Promise((resolve) => {
      free = resolve;
    });
    const result = bench.terminal.commands.execute(commands.command(hold), 'local');
    await bench.clock.advanceAsync(10_001);
    free();
    await bench.settle();
    expect(await result).toMatchObject({ outcome: 'expired' });
    await bench.clock.advanceAsync(60_000);
    expect(opened()).toBe(false);
  });

  it('of no such door names those there are, as does the end of one', async () => {
    const known = { outcome: 'unknown-door', known: ['door-1', 'door-2'] };
    expect(await commands.tell({ ...hold, door: 'gate' })).toMatchObject(known);
    expect(await commands.tell({ kind: 'resume', door: 'gate' })).toMatchObject(known);
  });
});

describe('an elevator', () => {
  beforeEach(async () => {
    await bench.terminal.stop();
    const settings = doorSettingsSchema.parse({});
    const doors = [
      { doorId: 'door-1', settings, floors: ['1', '2'] },
      { doorId: 'door-2', settings },
    ];
    await begin({ settings: { doors }, hardware: ['door-1/1', 'door-1/2'] });
  });

  it('frees the floors that a command names, else all', async () => {
    expect(await commands.tell({ ...unlock, floors: ['2'] })).toMatchObject({ outcome: 'done' });
    expect([opened('door-1/1'), opened('door-1/2')]).toEqual([false, true]);
    await commands.tell(unlock);
    expect(opened('door-1/1')).toBe(true);
  });

  it('names its floors where one is unknown', async () => {
    expect(await commands.tell({ ...unlock, floors: ['2', '9'] })).toMatchObject({
      outcome: 'unknown-floor',
      known: ['1', '2'],
    });
    expect(opened('door-1/2')).toBe(false);
  });
});
