import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Fault } from '#core/fault.ts';
import type { CommandAction } from '#core/sync/command.ts';
import { CommandBench } from './command-bench.ts';
import { Bench, type BenchOptions, type MemoryJournal } from './terminal-fixture.ts';

const unlock: CommandAction = { kind: 'unlock-once', door: 'door-1' };
const lockdown: CommandAction = { kind: 'lockdown' };

let bench: Bench;
let commands: CommandBench;

async function begin(options: BenchOptions = {}): Promise<void> {
  bench = new Bench({ into: 'hall', ...options });
  commands = new CommandBench(bench);
  await bench.terminal.start();
  await bench.settle();
}
/** Ends the terminal and begins it anew on what its journal has. */
async function restart(journal: MemoryJournal = bench.journal): Promise<void> {
  await bench.terminal.stop();
  await begin({ journal });
}
const unlocks = (door = 'door-1') => bench.strikes.filter((one) => one.door === door && !one.locked).length;
const fact = (key: string) => bench.journal.facts.get('')?.get(key);

beforeEach(() => begin());
afterEach(() => bench.terminal.stop());

describe('a command to unlock once', () => {
  it('unlocks after its entry is durable, for the strike time, and says what came of it', async () => {
    const before = bench.journal.records.length;
    expect(await commands.tell(unlock)).toMatchObject({ outcome: 'done' });
    expect(unlocks()).toBe(1);
    const accepted = bench.journal.records.findIndex(({ body }) => body.outcome === 'accepted');
    expect(accepted).toBeGreaterThanOrEqual(before);
    expect(bench.strikes.find(({ locked }) => !locked)?.durable).toBeGreaterThan(accepted);
    expect(commands.entries()).toEqual([
      { command: 'unlock-once', door: 'door-1', outcome: 'accepted' },
      { command: 'unlock-once', door: 'door-1', outcome: 'done' },
    ]);
    await bench.clock.advanceAsync(5_001);
    expect(bench.locked()).toBe(true);
  });

  it('for the seconds it names', async () => {
    await commands.tell({ ...unlock, seconds: 20 });
    await bench.clock.advanceAsync(19_000);
    expect(bench.locked()).toBe(false);
    await bench.clock.advanceAsync(1_100);
    expect(bench.locked()).toBe(true);
  });

  it('keeps who and why as personal values, apart from the body', async () => {
    await commands.tell(unlock);
    const record = bench.journal.records.find(({ kind }) => kind === 'command');
    expect(record?.personal).toEqual({ issuedBy: 'desk 3', reason: 'visitor with an escort' });
    expect(JSON.stringify(record?.body)).not.toMatch(/desk 3|visitor/);
  });

  it('names the doors there are where there is no such door', async () => {
    expect(await commands.tell({ kind: 'unlock-once', door: 'front' })).toMatchObject({
      outcome: 'unknown-door',
      known: ['door-1', 'door-2'],
    });
  });

  it('with a full disk opens nothing, and nothing later', async () => {
    bench.journal.fault = new Fault('journal-full', 'no space');
    const command = commands.command(unlock);
    expect(await commands.give(command)).toMatchObject({ outcome: 'journal-unwritable' });
    bench.journal.fault = undefined;
    await bench.clock.advanceAsync(5_000);
    expect(unlocks()).toBe(0);
    expect(commands.entries()).toEqual([
      { command: 'unlock-once', door: 'door-1', outcome: 'journal-unwritable', fault: 'journal-full' },
    ]);
    expect(await commands.give(command)).toMatchObject({ outcome: 'replayed', first: 'journal-unwritable' });
    expect(unlocks()).toBe(0);
  });

  it('opens nothing any more when the disk took too long', async () => {
    let free = (): void => undefined;
    bench.journal.gate = new Promise((resolve) => {
      free = resolve;
    });
    const result = bench.terminal.commands.execute(commands.command(unlock), 'local');
    await bench.clock.advanceAsync(10_001);
    free();
    await bench.settle();
    expect(await result).toMatchObject({ outcome: 'expired' });
    expect(unlocks()).toBe(0);
    expect(commands.entries().map(({ outcome }) => outcome)).toEqual(['accepted', 'expired']);
  });

  it('tells when the door does not obey', async () => {
    bench.doors.get('door-1')?.misbehave({ stuck: 'locked' });
    const result = await commands.tell(unlock);
    expect(result).toMatchObject({ outcome: 'door-failed' });
    expect(commands.entries().at(-1)).toMatchObject({ outcome: 'door-failed' });
  });
});

describe('one command', () => {
  it('is done once, however often it comes', async () => {
    const command = commands.command(unlock);
    await commands.give(command);
    expect(await commands.give(command)).toMatchObject({ outcome: 'replayed', first: 'done' });
    expect(unlocks()).toBe(1);
    expect(commands.entries().at(-1)).toMatchObject({ outcome: 'replayed', first: 'done' });
  });

  it('is done once when it comes twice at the same time', async () => {
    const command = commands.command(unlock);
    const both = [command, command].map((one) => bench.terminal.commands.execute(one, 'issuance'));
    await bench.settle();
    const outcomes = (await Promise.all(both)).map(({ outcome }) => outcome);
    expect(outcomes.toSorted()).toEqual(['done', 'replayed']);
    expect(unlocks()).toBe(1);
  });

  it('is not done again after a restart', async () => {
    const command = commands.command(unlock);
    await commands.give(command);
    await restart();
    expect(await commands.give(command)).toMatchObject({ outcome: 'replayed', first: 'done' });
    expect(unlocks()).toBe(0);
  });

  it('cut off between its entry and the door is not done after the restart, and nobody claims to know', async () => {
    const command = commands.command(unlock);
    await commands.give(command);
    // as the disk was when the power went: accepted, and nothing after
    const until = bench.journal.records.findIndex(({ body }) => body.outcome === 'accepted');
    const facts = bench.journal.records[until]?.changes ?? [];
    bench.journal.records.splice(until + 1);
    for (const { key, value } of facts) if (value !== undefined) bench.journal.facts.get('')?.set(key, value);
    const { journal } = bench;
    await begin({ journal });
    const result = await commands.give(command);
    expect(result).toMatchObject({ outcome: 'replayed' });
    expect(result.first).toBeUndefined();
    expect(unlocks()).toBe(0);
  });

  it('for another terminal does nothing', async () => {
    expect(await commands.tell(unlock, { terminal: 'lobby' })).toMatchObject({ outcome: 'other-terminal' });
    expect(unlocks()).toBe(0);
  });

  it('that has expired does nothing', async () => {
    const command = commands.command(unlock);
    await bench.clock.advanceAsync(60_000);
    expect(await commands.give(command)).toMatchObject({ outcome: 'expired' });
    expect(unlocks()).toBe(0);
    expect(commands.entries()).toEqual([{ command: 'unlock-once', door: 'door-1', outcome: 'expired' }]);
  });

  it('issued later than the clock shows does nothing: then the clock is wrong', async () => {
    const nowMs = bench.clock.utcMs();
    const early = { issuedAtMs: nowMs + 300_001, expiresAtMs: nowMs + 400_000 };
    expect(await commands.tell(unlock, early)).toMatchObject({ outcome: 'time-unknown' });
    const slightly = { issuedAtMs: nowMs + 300_000, expiresAtMs: nowMs + 400_000 };
    expect(await commands.tell(unlock, slightly)).toMatchObject({ outcome: 'done' });
  });

  it('is forgotten a day after it has expired, and then has expired still', async () => {
    const command = commands.command(unlock);
    await commands.give(command);
    await bench.clock.advanceAsync(86_400_000 + 61_000);
    await commands.tell({ kind: 'resume', door: 'door-1' });
    expect(fact(`command/${command.id}`)).toBeUndefined();
    expect(await commands.give(command)).toMatchObject({ outcome: 'expired' });
    expect(unlocks()).toBe(1);
  });
});

describe('a terminal that has many commands to remember', () => {
  /** As if that many had been taken before, to be remembered until `untilMs`. */
  async function withTaken(count: number, untilMs: number): Promise<void> {
    const { journal } = bench;
    await bench.terminal.stop();
    const facts = journal.facts.get('') ?? new Map();
    for (let n = 0; n < count; n += 1)
      facts.set(`command/${n.toString(16).padStart(32, '0')}`, { untilMs, outcome: 'done' });
    journal.facts.set('', facts);
    await begin({ journal });
  }

  it('takes no more, records none of those, and protects all the same', async () => {
    await withTaken(2_000, bench.clock.utcMs() + 1);
    const before = commands.entries().length;
    expect(await commands.tell(unlock)).toMatchObject({ outcome: 'busy' });
    expect(await commands.tell({ kind: 'diagnostics' })).toMatchObject({ outcome: 'busy' });
    expect(commands.entries()).toHaveLength(before);
    expect(await commands.tell(lockdown)).toMatchObject({ outcome: 'done' });
    expect(unlocks()).toBe(0);
  });

  it('takes more once those can be forgotten, and forgets them', async () => {
    await withTaken(2_000, bench.clock.utcMs() + 1);
    await bench.clock.advanceAsync(2);
    expect(await commands.tell(unlock)).toMatchObject({ outcome: 'done' });
    const left = [...(bench.journal.facts.get('') ?? [])].filter(([key]) => key.startsWith('command/'));
    expect(left).toHaveLength(1);
  });
});

describe('with a clock that is not known to be right', () => {
  it('a command of the server may be late, and does nothing', async () => {
    await bench.terminal.stop();
    bench = new Bench({ into: 'hall' });
    bench.clock.trust(false);
    commands = new CommandBench(bench);
    await bench.terminal.start();
    const command = commands.command(unlock);
    expect(await commands.give(command)).toMatchObject({ outcome: 'time-unknown' });
    expect(await commands.tell(lockdown)).toMatchObject({ outcome: 'time-unknown' });
    bench.clock.trust(true);
    const replayed = { outcome: 'replayed', first: 'time-unknown' };
    expect(await commands.give(command), 'nor later, when the clock is right').toMatchObject(replayed);
    expect(unlocks()).toBe(0);
    expect(fact('site/lockdown')).toBeUndefined();
  });

  it('one below the floor of time has expired', async () => {
    await bench.terminal.stop();
    const earlier = new Bench();
    earlier.journal.knowsTime(earlier.clock.utcMs() + 3_600_000);
    bench = new Bench({ into: 'hall', journal: earlier.journal });
    bench.clock.trust(false);
    commands = new CommandBench(bench);
    await bench.terminal.start();
    expect(await commands.tell(unlock)).toMatchObject({ outcome: 'expired' });
  });

  it('one given on the device itself is done', async () => {
    bench.clock.trust(false);
    expect(await commands.give(commands.command(unlock), 'local')).toMatchObject({ outcome: 'done' });
  });

  it('time counts on from when the clock was right in this run', async () => {
    await bench.clock.advanceAsync(60_000);
    bench.clock.trust(false);
    const command = commands.command(unlock);
    expect(await commands.give(command)).toMatchObject({ outcome: 'done' });
    const [late, slept] = [commands.command(unlock), commands.command(unlock)];
    bench.clock.stepUtc(-3_600_000);
    await bench.clock.advanceAsync(60_001);
    expect(await commands.give(late)).toMatchObject({ outcome: 'expired' });
    bench.clock.stepUtc(7_200_000);
    expect(await commands.give(slept), 'the clock may be right').toMatchObject({ outcome: 'expired' });
  });
});
