import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Fault } from '#core/fault.ts';
import type { Command, CommandAction, CommandResult } from '#core/sync/command.ts';
import { commandBytes, readCommandResult } from '#core/sync/command-message.ts';
import { encodeSigned, type Signer, signDocument } from '#core/sync/signed.ts';
import type { TrustRoot } from '#core/sync/trust.ts';
import { ServerCommands } from '#terminal/server-commands.ts';
import { pinnedRoot, testKeys } from '../core/sync/keys.ts';
import { CommandBench } from './command-bench.ts';
import { Bench, type MemoryJournal } from './terminal-fixture.ts';

const unlock: CommandAction = { kind: 'unlock-once', door: 'door-1' };

let bench: Bench;
let commands: CommandBench;
let link: ServerCommands;
let root: TrustRoot | undefined;
let results: CommandResult[];
let renewals: number;

async function begin(journal?: MemoryJournal): Promise<void> {
  bench = new Bench({ into: 'hall', ...(journal && { journal }) });
  commands = new CommandBench(bench);
  await bench.terminal.start();
  await bench.settle();
  results = [];
  link = new ServerCommands({
    terminal: 'test',
    commands: bench.terminal.commands,
    root: () => {
      if (!root) throw new Fault('policy-altered', 'no root');
      return root;
    },
    renewRoots: async () => {
      renewals += 1;
    },
    publish: async ({ payload }) => {
      const result = readCommandResult(payload);
      if (result) results.push(result);
      return 'taken';
    },
    log: pino({ level: 'silent' }),
  });
}

const documentOf = async (
  command: Command,
  { organization = 'city', signers = testKeys.command as readonly Signer[] } = {},
) => encodeSigned(await signDocument(commandBytes(organization, command), signers));
async function send(document: Uint8Array): Promise<void> {
  await link.received(document);
  await bench.settle();
}
const unlocks = () => bench.strikes.filter(({ door, locked }) => door === 'door-1' && !locked).length;
const refusals = () =>
  bench.journal.records.filter(({ kind, body }) => kind === 'policy' && body.of === 'command');

beforeEach(async () => {
  root = await pinnedRoot();
  renewals = 0;
  await begin();
});
afterEach(() => bench.terminal.stop());

describe('a command of the server', () => {
  it('is carried out, recorded with who and why of the document, and answered', async () => {
    const command = commands.command(unlock);
    await send(await documentOf(command));
    expect(unlocks()).toBe(1);
    expect(results).toEqual([{ format: 1, id: command.id, outcome: 'done' }]);
    const [entry] = bench.journal.records.filter(({ kind }) => kind === 'command');
    expect(entry).toMatchObject({
      body: { id: command.id, via: 'issuance', expiresAtMs: command.expiresAtMs },
      personal: { issuedBy: 'desk 3', reason: 'visitor with an escort' },
    });
  });

  it('that comes again acts once, and is answered with the same, whatever was lost', async () => {
    const document = await documentOf(commands.command({ kind: 'diagnostics' }));
    await send(document);
    const entries = commands.entries().length;
    await send(document);
    expect(results).toHaveLength(2);
    expect(results[1]).toEqual(results[0]);
    expect(results[1]?.diagnostics?.terminal).toBe('test');
    expect(commands.entries()).toHaveLength(entries);
  });

  it('that comes again after a restart acts once, and is answered with what came of it', async () => {
    const command = commands.command(unlock);
    await send(await documentOf(command));
    const { journal } = bench;
    await bench.terminal.stop();
    await begin(journal);
    await send(await documentOf(command));
    await bench.clock.advanceAsync(120_000);
    await send(await documentOf(command));
    expect(unlocks()).toBe(0);
    const replayed = { format: 1, id: command.id, outcome: 'replayed', first: 'done' };
    expect(results, 'also when it is too late by now').toEqual([replayed, replayed]);
  });

  it('twice at once acts once', async () => {
    const document = await documentOf(commands.command(unlock));
    await Promise.all([link.received(document), link.received(document)]);
    await bench.settle();
    expect(unlocks()).toBe(1);
    expect(results).toHaveLength(1);
  });

  it('too late does nothing, and says so', async () => {
    const document = await documentOf(commands.command(unlock));
    await bench.clock.advanceAsync(60_000);
    await send(document);
    expect(unlocks()).toBe(0);
    expect(results).toMatchObject([{ outcome: 'expired' }]);
  });

  it('of another organization, for another terminal, edited, unsigned or signed in another role does nothing', async () => {
    const command = commands.command(unlock);
    const whole = await documentOf(command);
    const edited = new TextDecoder()
      .decode(whole)
      .replace(/"payload":"(.*?)"/, (_, text: string) => `"payload":"${text.replace('A', 'B')}"`);
    for (const wrong of [
      await documentOf(command, { organization: 'village' }),
      await documentOf({ ...command, terminal: 'lobby' }),
      new TextEncoder().encode(edited),
      await documentOf(command, { signers: [] }),
      await documentOf(command, { signers: testKeys.policy }),
      await documentOf(command, { signers: testKeys.root }),
      new Uint8Array([1, 2, 3]),
      whole.subarray(0, whole.length - 1),
    ])
      await send(wrong);
    expect(unlocks()).toBe(0);
    expect(results).toEqual([]);
    expect(new Set(refusals().map(({ body }) => body.reason))).toEqual(
      new Set(['other-organization', 'other-terminal', 'signatures-insufficient', 'malformed']),
    );
    await send(whole);
    expect(unlocks(), 'and the right one still does').toBe(1);
  });

  it('signed by a key that is not known yet has the roots asked for, and counts if they name it', async () => {
    const known = root;
    const stranger = await pinnedRoot();
    if (!known) throw new Error('no root');
    root = { ...stranger, roles: { ...stranger.roles, command: { threshold: 1, keys: new Map() } } };
    const document = await documentOf(commands.command(unlock));
    await send(document);
    expect([renewals, unlocks()]).toEqual([1, 0]);
    root = known;
    await send(document);
    expect(unlocks()).toBe(1);
  });

  it('while nobody can be believed does nothing', async () => {
    root = undefined;
    await expect(link.received(await documentOf(commands.command(unlock)))).rejects.toThrow(Fault);
    expect(unlocks()).toBe(0);
  });
});

it('a flood of commands that came before, too late or forged fills no journal', async () => {
  const old = await Promise.all(
    Array.from({ length: 30 }, () => documentOf(commands.command({ kind: 'diagnostics' }))),
  );
  await bench.clock.advanceAsync(60_001);
  const valid = await documentOf(commands.command(unlock));
  await send(valid);
  const before = bench.journal.records.length;
  const forged = await documentOf(commands.command(unlock), { signers: [] });
  for (let round = 0; round < 20; round += 1) {
    for (const document of [...old, valid, forged]) await send(document);
  }
  expect(bench.journal.records.length - before).toBeLessThanOrEqual(3);
  expect(unlocks()).toBe(1);
});

describe('while more commands wait for the disk than anybody means', () => {
  let free: () => void;
  beforeEach(async () => {
    ({ promise: bench.journal.gate, resolve: free } = Promise.withResolvers<void>());
    for (let count = 0; count < 32; count += 1)
      await link.received(await documentOf(commands.command(unlock)));
    await bench.settle();
  });
  afterEach(() => free());

  it('a lockdown is carried out at once', async () => {
    const lockdown = commands.command({ kind: 'lockdown' });
    await send(await documentOf(lockdown));
    expect(results).toEqual([{ format: 1, id: lockdown.id, outcome: 'done' }]);
  });

  it('another is not taken until it comes again', async () => {
    const another = commands.command(unlock);
    const document = await documentOf(another);
    await send(document);
    free();
    await bench.settle();
    const told = () => results.filter(({ id }) => id === another.id);
    expect([results.length, told()]).toEqual([32, []]);
    await send(document);
    expect(told()).toMatchObject([{ outcome: 'done' }]);
  });
});

describe('conditions', () => {
  const lockdown: CommandAction = { kind: 'lockdown' };
  const end: CommandAction = { kind: 'end-lockdown' };
  const holds = () => bench.journal.facts.get('')?.has('site/lockdown') === true;

  it('declared later are not ended by a command given before, which somebody held back', async () => {
    const withheld = await documentOf(commands.command(end));
    await bench.clock.advanceAsync(1_000);
    await send(await documentOf(commands.command(lockdown)));
    await send(withheld);
    expect(holds()).toBe(true);
    expect(results.map(({ outcome }) => outcome)).toEqual(['done', 'superseded']);
    await bench.clock.advanceAsync(1_000);
    await send(await documentOf(commands.command(end)));
    expect(holds()).toBe(false);
  });

  it('declared since an end was given stay when that end is signed anew and comes hours later', async () => {
    await send(await documentOf(commands.command(lockdown)));
    await bench.clock.advanceAsync(1_000);
    const givenAtMs = bench.clock.utcMs();
    await bench.clock.advanceAsync(1_000);
    await send(await documentOf(commands.command(lockdown)));
    await bench.clock.advanceAsync(3_600_000);
    await send(await documentOf({ ...commands.command(end), givenAtMs }));
    expect(holds()).toBe(true);
    expect(results.at(-1)?.outcome).toBe('superseded');
    expect(commands.entries().at(-1)).toMatchObject({ outcome: 'superseded', givenAtMs });
  });

  it.each([
    ['behind it', false],
    ['before it', true],
  ])(
    'of a zone that were declared since stay, when the end of the whole site comes %s',
    async (_, isAhead) => {
      await send(await documentOf(commands.command(lockdown)));
      await bench.clock.advanceAsync(1_000);
      const ending = await documentOf(commands.command(end));
      await bench.clock.advanceAsync(1_000);
      const declaring = await documentOf(commands.command({ kind: 'lockdown', zones: ['hall'] }));
      let free = (): void => undefined;
      bench.journal.gate = new Promise((resolve) => {
        free = resolve;
      });
      for (const document of isAhead ? [ending, declaring] : [declaring, ending])
        await link.received(document);
      free();
      await bench.settle();
      await bench.settle();
      expect(results.map(({ outcome }) => outcome)).toEqual(['done', 'done', 'done']);
      expect(bench.journal.facts.get('')?.get('site/lockdown')).toEqual({ zones: ['hall'] });
      await bench.clock.advanceAsync(1_000);
      await send(await documentOf(commands.command(end)));
      expect(holds()).toBe(false);
      expect(bench.journal.facts.get('')?.has('commanded/lockdown')).toBe(false);
    },
  );

  it('of a zone that were declared since stay, when an end comes that names other zones as well', async () => {
    const zones = ['hall', 'yard'];
    await send(await documentOf(commands.command({ kind: 'lockdown', zones: ['yard'] })));
    await bench.clock.advanceAsync(1_000);
    const ending = await documentOf(commands.command({ kind: 'end-lockdown', zones }));
    const another = await documentOf(commands.command({ kind: 'end-lockdown', zones: ['hall'] }));
    await bench.clock.advanceAsync(1_000);
    await send(await documentOf(commands.command({ kind: 'lockdown', zones: ['hall'] })));
    await send(ending);
    await send(another);
    expect(results.map(({ outcome }) => outcome)).toEqual(['done', 'done', 'done', 'superseded']);
    expect(bench.journal.facts.get('')?.get('site/lockdown')).toEqual({ zones: ['hall'] });
  });

  it('that were raised since stay raised', async () => {
    const lowering = await documentOf(commands.command({ kind: 'threat-level', level: 1 }));
    await bench.clock.advanceAsync(1_000);
    await send(await documentOf(commands.command({ kind: 'threat-level', level: 4 })));
    await send(lowering);
    expect(results.map(({ outcome }) => outcome)).toEqual(['done', 'superseded']);
    expect(bench.journal.facts.get('')?.get('site/threat')).toBe(4);
  });

  it('declared while their end is on its way to the disk hold after that', async () => {
    await send(await documentOf(commands.command(lockdown)));
    await bench.clock.advanceAsync(1_000);
    const ending = await documentOf(commands.command(end));
    await bench.clock.advanceAsync(1_000);
    const declaring = await documentOf(commands.command(lockdown));
    let free = (): void => undefined;
    bench.journal.gate = new Promise((resolve) => {
      free = resolve;
    });
    await link.received(declaring);
    await link.received(ending);
    await bench.settle();
    free();
    await bench.settle();
    expect(holds()).toBe(true);
  });

  it('on the device itself are ended on the device itself, whatever clock the server has', async () => {
    const nowMs = bench.clock.utcMs();
    const ahead = { issuedAtMs: nowMs + 200_000, expiresAtMs: nowMs + 260_000 };
    await send(await documentOf(commands.command(lockdown, ahead)));
    expect(await commands.give(commands.command(end), 'local')).toMatchObject({ outcome: 'done' });
    expect(holds()).toBe(false);
  });
});
