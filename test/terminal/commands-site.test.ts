import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { PolicySlice } from '#core/access/policy.ts';
import { Fault } from '#core/fault.ts';
import { diagnosticsSchema } from '#core/sync/command.ts';
import { doorRules } from '../policy-slices.ts';
import { CommandBench } from './command-bench.ts';
import { Bench, type BenchOptions, type MemoryJournal, reading } from './terminal-fixture.ts';

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
const fact = (key: string) => bench.journal.facts.get('')?.get(key);
const disk = (code?: 'journal-full') => {
  bench.journal.fault = code && new Fault(code, 'no space');
};

const zones = { zones: [{ id: 'hall', passback: { mode: 'hard' as const } }] };
const services = {
  services: [
    { id: 'work', kind: 'attendance' as const },
    { id: 'lunch', kind: 'once' as const },
  ],
};
const rules = doorRules({ id: 'door-1', assurance: ['mutual-authentication'] }, { ...zones, ...services });
/** Lets `userNumber` through both doors under these rules. */
function permit(userNumber = reading.userNumber, changes: Partial<PolicySlice> = {}): void {
  bench.policy.doors.set('door-1', rules);
  bench.permit(userNumber, { rules, ...changes });
}
const results = () => bench.decisions().map(({ result, reason }) => reason ?? result);
const enters = async () => {
  await bench.tap();
  bench.doors.get('door-1')?.push();
  await bench.clock.advanceAsync(300);
  bench.doors.get('door-1')?.close();
  await bench.clock.advanceAsync(10_000);
};

beforeEach(() => begin());
afterEach(() => bench.terminal.stop());

describe('conditions of the site', () => {
  it('hold in the zones that are named, end there, and outlast a restart', async () => {
    await commands.tell({ kind: 'lockdown', zones: ['hall'] });
    await commands.tell({ kind: 'lockdown', zones: ['yard'] });
    expect(fact('site/lockdown')).toEqual({ zones: ['hall', 'yard'] });
    await restart();
    await commands.tell({ kind: 'end-lockdown', zones: ['hall'] });
    expect(fact('site/lockdown')).toEqual({ zones: ['yard'] });
    await commands.tell({ kind: 'end-lockdown' });
    expect(fact('site/lockdown')).toBeUndefined();
  });

  it('keep cards out at once', async () => {
    permit();
    await commands.tell({ kind: 'lockdown' });
    await bench.tap();
    await commands.tell({ kind: 'end-lockdown' });
    await commands.tell({ kind: 'evacuation' });
    await bench.tap();
    await commands.tell({ kind: 'end-evacuation' });
    await bench.tap();
    expect(results()).toEqual(['lockdown', 'evacuation', 'granted']);
  });

  it('of no such zone are refused, with the names there are, and nothing is declared', async () => {
    for (const kind of ['lockdown', 'evacuation', 'end-lockdown'] as const) {
      expect(await commands.tell({ kind, zones: ['hall', 'cellar'] })).toMatchObject({
        outcome: 'unknown-zone',
        known: ['hall', 'yard'],
      });
    }
    expect([fact('site/lockdown'), fact('site/evacuation')]).toEqual([undefined, undefined]);
  });

  it('that protect are declared while the disk is full, and recorded once it takes entries again', async () => {
    permit();
    disk('journal-full');
    for (const action of [
      { kind: 'lockdown' },
      { kind: 'evacuation' },
      { kind: 'threat-level', level: 3 },
    ] as const) {
      expect(await commands.tell(action)).toMatchObject({ outcome: 'done' });
    }
    disk();
    await bench.clock.advanceAsync(2_000);
    expect([fact('site/lockdown'), fact('site/evacuation'), fact('site/threat')]).toEqual([{}, {}, 3]);
    expect(commands.entries()).toEqual([
      { command: 'lockdown', outcome: 'done' },
      { command: 'evacuation', outcome: 'done' },
      { command: 'threat-level', level: 3, outcome: 'done' },
    ]);
  });

  it('are not ended while the disk is full, nor is the threat level lowered', async () => {
    await commands.tell({ kind: 'lockdown' });
    await commands.tell({ kind: 'threat-level', level: 3 });
    disk('journal-full');
    const full = { outcome: 'journal-unwritable' };
    expect(await commands.tell({ kind: 'end-lockdown' })).toMatchObject(full);
    expect(await commands.tell({ kind: 'threat-level', level: 2 })).toMatchObject(full);
    disk();
    await bench.clock.advanceAsync(2_000);
    expect([fact('site/lockdown'), fact('site/threat')]).toEqual([{}, 3]);
  });

  it('declared twice under one id are declared once: what was ended stays so', async () => {
    const command = commands.command({ kind: 'lockdown' });
    await commands.give(command);
    await commands.tell({ kind: 'end-lockdown' });
    expect(await commands.give(command)).toMatchObject({ outcome: 'replayed', first: 'done' });
    expect(fact('site/lockdown')).toBeUndefined();
    await restart();
    expect(await commands.give(command)).toMatchObject({ outcome: 'replayed', first: 'done' });
    expect(fact('site/lockdown')).toBeUndefined();
  });
});

describe('where holders are', () => {
  it('a holder whose position is forgotten enters again', async () => {
    permit();
    await enters();
    await bench.tap();
    expect(results()).toEqual(['granted', 'already-inside']);
    const holder = reading.userNumber;
    expect(await commands.tell({ kind: 'reset-position', holder })).toMatchObject({ outcome: 'done' });
    expect(fact('count/hall')).toMatchObject({ parts: [{ n: 0 }] });
    await bench.tap();
    expect(results()).toEqual(['granted', 'already-inside', 'granted']);
  });

  it('the holder stands among the personal values, never in the body', async () => {
    permit();
    await enters();
    await commands.tell({ kind: 'reset-position', holder: reading.userNumber });
    const record = bench.journal.records.find(({ kind }) => kind === 'command');
    expect(record?.personal).toMatchObject({ holder: reading.userNumber });
    expect(JSON.stringify(record?.body)).not.toContain(reading.userNumber);
    expect(record?.body).toMatchObject({ command: 'reset-position', outcome: 'done' });
  });

  it('of a holder never seen, nothing is known', async () => {
    expect(await commands.tell({ kind: 'reset-position', holder: 'nobody' })).toMatchObject({
      outcome: 'nothing-known',
    });
  });

  it('a zone that is reset holds nobody', async () => {
    permit();
    await enters();
    expect(await commands.tell({ kind: 'roll-call' })).toMatchObject({
      rollCall: [{ zone: 'hall', holders: [{ holder: reading.userNumber }] }],
    });
    expect(await commands.tell({ kind: 'reset-zone', zone: 'hall' })).toMatchObject({ outcome: 'done' });
    expect(await commands.tell({ kind: 'roll-call', zone: 'hall' })).toMatchObject({ rollCall: [] });
    await bench.tap();
    expect(results()).toEqual(['granted', 'granted']);
    expect(await commands.tell({ kind: 'reset-zone', zone: 'cellar' })).toMatchObject({
      outcome: 'unknown-zone',
    });
  });

  it('the roll is called while the disk takes nothing, and of this zone or none', async () => {
    permit();
    await enters();
    disk('journal-full');
    expect(await commands.tell({ kind: 'roll-call', zone: 'hall' })).toMatchObject({
      outcome: 'done',
      rollCall: [{ zone: 'hall' }],
    });
    expect(await commands.tell({ kind: 'roll-call', zone: 'cellar' })).toMatchObject({
      outcome: 'unknown-zone',
    });
    disk();
    await bench.clock.advanceAsync(2_000);
    expect(commands.entries().map(({ outcome }) => outcome)).toEqual(['done', 'unknown-zone']);
    expect(JSON.stringify(commands.entries())).not.toContain(reading.userNumber);
  });

  it('a database that cannot be read is a fault that is told', async () => {
    bench.journal.fault = new Fault('database-invalid', 'damaged');
    expect(await commands.tell({ kind: 'roll-call' })).toMatchObject({
      outcome: 'failed',
      fault: 'database-invalid',
    });
    bench.journal.fault = undefined;
  });
});

describe('coming and going', () => {
  const holder = reading.userNumber;
  const attendance = () => bench.journal.facts.get(holder)?.get('attendance/work');

  it('set right goes on from there', async () => {
    permit();
    await enters();
    const atMs = bench.clock.utcMs() - 3_600_000;
    const action = { kind: 'correct-attendance', holder, service: 'work', is: 'in', atMs } as const;
    expect(await commands.tell(action)).toMatchObject({ outcome: 'done' });
    expect(attendance()).toMatchObject({ last: 'in', since: { utcMs: atMs } });
    expect(commands.entries().at(-1)).toEqual({
      command: 'correct-attendance',
      service: 'work',
      is: 'in',
      atMs,
      outcome: 'done',
    });
    await commands.tell({ ...action, is: 'out', atMs: undefined });
    expect(attendance()).toMatchObject({ last: 'out', since: { utcMs: bench.clock.utcMs() } });
  });

  it('of a service that there is not, in the future, or of a holder never seen, is refused', async () => {
    permit();
    const action = { kind: 'correct-attendance', holder, service: 'work', is: 'in' } as const;
    expect(await commands.tell(action)).toMatchObject({ outcome: 'nothing-known' });
    await enters();
    const unknown = { outcome: 'unknown-service', known: ['work'] };
    expect(await commands.tell({ ...action, service: 'lunch' })).toMatchObject(unknown);
    const later = bench.clock.utcMs() + 60_000;
    expect(await commands.tell({ ...action, atMs: later })).toMatchObject({ outcome: 'time-past' });
    bench.policy.fault = new Fault('policy-absent', 'none');
    expect(await commands.tell(action)).toMatchObject({ outcome: 'failed', fault: 'policy-absent' });
    expect(attendance()).toBeUndefined();
  });
});

describe('finding a terminal, and what is wrong with it', () => {
  it('identify shows itself at the readers meant for its time, and a card ends that', async () => {
    expect(await commands.tell({ kind: 'identify', reader: 'r1', seconds: 30 })).toMatchObject({
      outcome: 'done',
    });
    expect(bench.shown.at(-1)).toBe('identify');
    await bench.clock.advanceAsync(29_000);
    expect(bench.shown.at(-1)).toBe('identify');
    await bench.clock.advanceAsync(1_000);
    expect(bench.shown.at(-1)).toBe('idle');
    await commands.tell({ kind: 'identify', door: 'door-1', seconds: 30 });
    await bench.tap();
    await bench.clock.advanceAsync(5_000);
    expect(bench.shown.at(-1)).toBe('idle');
  });

  it('identify of no such reader or door names those there are', async () => {
    expect(await commands.tell({ kind: 'identify', reader: 'r9', seconds: 1 })).toMatchObject({
      outcome: 'unknown-reader',
      known: ['r1', 'r2'],
    });
    expect(await commands.tell({ kind: 'identify', door: 'gate', seconds: 1 })).toMatchObject({
      outcome: 'unknown-door',
    });
  });

  it('diagnostics tell the state, also with a full disk, and neither numbers nor holders', async () => {
    permit();
    await enters();
    bench.doors.get('door-2')?.misbehave({ stuck: 'locked' });
    await commands.tell({ kind: 'unlock-once', door: 'door-2' });
    disk('journal-full');
    const { outcome, diagnostics } = await commands.tell({ kind: 'diagnostics' });
    expect(outcome).toBe('done');
    expect(diagnosticsSchema.parse(JSON.parse(JSON.stringify(diagnostics)))).toMatchObject({
      terminal: 'test',
      versions: { kazasu: '0' },
      keys: 'keys sealed',
      policy: { number: 3 },
      clock: { trusted: true },
      doors: [{ door: 'door-1', mode: 'normal' }, { door: 'door-2' }],
      readers: [
        { reader: 'r1', door: 'door-1', ready: true },
        { reader: 'r2', door: 'door-2', ready: true },
      ],
    });
    expect(diagnostics?.faults.map(({ code }) => code)).toContain('door-hardware-failed');
    expect(JSON.stringify(diagnostics)).not.toContain(reading.userNumber);
    disk();
  });

  it('restart asks the program to end, once, and only when that is recorded', async () => {
    disk('journal-full');
    expect(await commands.tell({ kind: 'restart' })).toMatchObject({ outcome: 'journal-unwritable' });
    expect(bench.restarts).toBe(0);
    disk();
    const command = commands.command({ kind: 'restart' });
    expect(await commands.give(command)).toMatchObject({ outcome: 'done' });
    await commands.give(command);
    expect(bench.restarts).toBe(1);
  });

  it('nothing is taken any more once the terminal has stopped', async () => {
    const command = commands.command({ kind: 'unlock-once', door: 'door-1' });
    await bench.terminal.stop();
    expect(await commands.give(command)).toMatchObject({ outcome: 'unavailable' });
  });
});
