import { afterEach, describe, expect, it } from 'vitest';
import { Fault } from '#core/fault.ts';
import type { JsonValue } from '#core/journal/record.ts';
import type { TerminalSettings } from '#terminal/terminal.ts';
import { CommandBench } from './command-bench.ts';
import { Bench, MemoryJournal } from './terminal-fixture.ts';

type Rules = TerminalSettings['automation']['rules'];

const inputs = ['key', 'panic', 'panel'];
const outputs = ['siren', 'clear'];
const hardware = [...inputs.map((id) => `input:${id}`), ...outputs.map((id) => `output:${id}`)];

let bench: Bench;
afterEach(() => bench.terminal.stop());

async function begin(rules: Rules, journal = new MemoryJournal()): Promise<void> {
  bench = new Bench({ settings: { automation: { inputs, outputs, rules } }, hardware, journal });
  await bench.terminal.start();
  await bench.settle();
}
/** Ends the terminal and begins it anew, `between` nobody listening to the inputs. */
async function restart(rules: Rules, on: readonly string[] = []): Promise<void> {
  const { journal, terminal } = bench;
  await terminal.stop();
  bench = new Bench({ settings: { automation: { inputs, outputs, rules } }, hardware, journal });
  for (const id of on) bench.doors.get(`input:${id}`)?.force();
  await bench.terminal.start();
  await bench.settle();
}
async function set(id: string, on: boolean): Promise<void> {
  const contact = bench.doors.get(`input:${id}`);
  if (on) contact?.force();
  else contact?.close();
  await bench.settle();
}
const fact = (key: string): JsonValue | undefined => bench.journal.facts.get('')?.get(key);
const on = (output: string) => !bench.locked(`output:${output}`);
const told = () => bench.journal.records.filter(({ kind }) => kind === 'automation').map(({ body }) => body);

describe('a lockdown of some zones', () => {
  const rules: Rules = [
    { when: { input: 'panic', is: 'on' }, do: [{ condition: 'lockdown', set: 'on', zones: ['lab'] }] },
    { when: { input: 'panel', is: 'on' }, do: [{ condition: 'lockdown', set: 'on', zones: ['store'] }] },
    { when: { input: 'panel', is: 'off' }, do: [{ condition: 'lockdown', set: 'off', zones: ['store'] }] },
    { when: { input: 'key', is: 'on' }, do: [{ condition: 'lockdown', set: 'on' }] },
    { when: { condition: 'lockdown', is: 'on' }, do: [{ output: 'siren' }] },
  ];

  it('is lifted by no end that the server gave before, and that comes late', async () => {
    await begin(rules);
    const commands = new CommandBench(bench);
    const end = (validMs: number) => {
      const issuedAtMs = bench.clock.utcMs();
      return commands.command({ kind: 'end-lockdown' }, { issuedAtMs, expiresAtMs: issuedAtMs + validMs });
    };
    const late = end(900_000);
    await bench.clock.advanceAsync(400_000);
    await set('panic', true);
    expect(await commands.give(late, 'issuance')).toMatchObject({ outcome: 'superseded' });
    expect(fact('site/lockdown')).toEqual({ zones: ['lab'] });
    expect(await commands.give(end(60_000), 'issuance')).toMatchObject({ outcome: 'done' });
    expect([fact('site/lockdown'), fact('commanded/lockdown')]).toEqual([undefined, undefined]);
  });

  it('that stands already is remembered as of now, so that the end of the one before lifts it no more', async () => {
    await begin(rules);
    const commands = new CommandBench(bench);
    const given = (action: { kind: 'lockdown' | 'end-lockdown' }) => {
      const issuedAtMs = bench.clock.utcMs();
      return commands.command(action, { issuedAtMs, expiresAtMs: issuedAtMs + 900_000 });
    };
    await commands.give(given({ kind: 'lockdown' }), 'issuance');
    const late = given({ kind: 'end-lockdown' });
    await bench.clock.advanceAsync(400_000);
    await set('key', true);
    expect(told().slice(-2)).toEqual([
      { input: 'key', on: true },
      { condition: 'lockdown', on: true },
    ]);
    expect(await commands.give(late, 'issuance')).toMatchObject({ outcome: 'superseded' });
    expect(fact('site/lockdown')).toEqual({});
  });

  it('leaves others as they are, and gives way to one of the whole site', async () => {
    await begin(rules);
    await set('panic', true);
    await set('panel', true);
    expect(fact('site/lockdown')).toEqual({ zones: ['lab', 'store'] });
    await set('panel', false);
    expect(fact('site/lockdown')).toEqual({ zones: ['lab'] });
    expect(on('siren')).toBe(true);
    await set('key', true);
    expect(fact('site/lockdown')).toEqual({});
  });

  it('tells nothing where it changes nothing', async () => {
    await begin(rules);
    await set('panic', true);
    const before = told().length;
    await set('panic', false);
    await set('panic', true);
    expect(told().slice(before)).toEqual([
      { input: 'panic', on: false },
      { input: 'panic', on: true },
    ]);
  });
});

describe('a condition of the site that cannot be read', () => {
  const rules: Rules = [
    { when: { input: 'panel', is: 'on' }, do: [{ condition: 'fire', set: 'on', zones: ['lab'] }] },
    { when: { input: 'panic', is: 'on' }, do: [{ condition: 'lockdown', set: 'on', zones: ['lab'] }] },
    { when: { input: 'panic', is: 'off' }, do: [{ condition: 'lockdown', set: 'off', zones: ['lab'] }] },
    { when: { input: 'key', is: 'on' }, do: [{ condition: 'lockdown', set: 'off' }] },
  ];
  const torn = () => {
    const journal = new MemoryJournal();
    const nonsense: JsonValue = { zone: 'all' };
    const conditions = ['site/fire', 'site/lockdown'].map((key): [string, JsonValue] => [key, nonsense]);
    journal.facts.set('', new Map([...conditions, ['input/panic', true]]));
    return journal;
  };

  it('is as an input declares it, of a lockdown everywhere', async () => {
    await begin(rules, torn());
    await set('panel', true);
    await set('panic', true);
    expect([fact('site/fire'), fact('site/lockdown')]).toEqual([{ zones: ['lab'] }, {}]);
  });

  it('stands until it is ended for the whole site', async () => {
    await begin(rules, torn());
    expect(fact('input/panic')).toBe(false);
    expect(fact('site/lockdown')).toEqual({ zone: 'all' });
    await set('key', true);
    expect(fact('site/lockdown')).toBeUndefined();
  });
});

describe('a restart', () => {
  const rules: Rules = [
    { when: { input: 'key', is: 'on' }, do: [{ condition: 'lockdown', set: 'on' }] },
    { when: { input: 'key', is: 'off' }, do: [{ condition: 'lockdown', set: 'off' }] },
    { when: { input: 'panic', is: 'on' }, do: [{ condition: 'lockdown', set: 'on' }] },
    { when: { input: 'panel', is: 'on' }, do: [{ condition: 'fire', set: 'on' }] },
    { when: { input: 'panel', is: 'off' }, do: [{ condition: 'fire', set: 'off' }] },
    { when: { condition: 'fire', is: 'on' }, do: [{ output: 'siren' }] },
    { when: { condition: 'fire', is: 'off' }, do: [{ output: 'clear', for: 10_000 }] },
  ];

  it('ends no lockdown that something else declared', async () => {
    await begin(rules);
    await set('panic', true);
    await set('panic', false);
    await restart(rules);
    expect(fact('site/lockdown')).toEqual({});
  });

  it('begins nothing anew, and switches on at once what lasts', async () => {
    await begin(rules);
    expect(on('clear')).toBe(false);
    await set('panel', true);
    await restart(rules, ['panel']);
    expect([on('siren'), on('clear')]).toEqual([true, false]);
    await set('panel', false);
    expect([on('siren'), on('clear')]).toEqual([false, true]);
  });

  it('hears what ended, and what began, while nobody listened', async () => {
    await begin(rules);
    await set('panel', true);
    await restart(rules, ['panic']);
    expect(fact('site/fire')).toBeUndefined();
    expect(fact('site/lockdown')).toEqual({});
  });

  it('with a journal that does not open yet declares what is on, and ends nothing before it knows', async () => {
    await begin(rules);
    await set('panel', true);
    bench.journal.fault = new Fault('journal-full', 'no space');
    await restart(rules, ['panic']);
    expect(fact('site/fire')).toEqual({});
    bench.journal.fault = undefined;
    await bench.clock.advanceAsync(5_000);
    expect(fact('site/fire')).toBeUndefined();
    expect(fact('site/lockdown')).toEqual({});
  });
});

it('a condition that stood when a journal opens late begins nothing anew', async () => {
  const rules: Rules = [
    { when: { condition: 'lockdown', is: 'on' }, do: [{ threatLevel: 4 }, { output: 'siren' }] },
    { when: { condition: 'fire', is: 'off' }, do: [{ threatLevel: 2 }, { output: 'clear' }] },
  ];
  const journal = new MemoryJournal();
  journal.facts.set('', new Map([['site/lockdown', {}]]));
  journal.fault = new Fault('journal-full', 'no space');
  await begin(rules, journal);
  expect(on('clear')).toBe(false);
  journal.fault = undefined;
  await bench.clock.advanceAsync(5_000);
  expect([on('siren'), on('clear')]).toEqual([true, true]);
  expect(fact('site/threat')).toBeUndefined();
});

describe('one step', () => {
  it('declares all of its conditions at once', async () => {
    await begin([
      {
        when: { input: 'panel', is: 'on' },
        do: [{ condition: 'fire', set: 'on' }, { condition: 'evacuation', set: 'on' }, { threatLevel: 4 }],
      },
      { when: { condition: 'evacuation', is: 'off' }, do: [{ output: 'clear', for: 10_000 }] },
      { when: { input: 'panel', is: 'off' }, do: [{ threatLevel: 0 }] },
    ]);
    await set('panel', true);
    expect(on('clear')).toBe(false);
    expect([fact('site/fire'), fact('site/evacuation'), fact('site/threat')]).toEqual([{}, {}, 4]);
    expect(told()).toContainEqual({ threatLevel: 4 });
    await set('panel', false);
    expect(fact('site/threat')).toBeUndefined();
  });
});
