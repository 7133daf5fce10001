import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { SystemEntropy } from '#adapters/os/entropy.ts';
import { type Command, type CommandAction, type CommandResult, givenAtMs } from '#core/sync/command.ts';
import { checkCommand, commandResultBytes } from '#core/sync/command-message.ts';
import { decodeSigned } from '#core/sync/signed.ts';
import type { TrustRoot } from '#core/sync/trust.ts';
import { CommandDispatch } from '#issuance/commands/command-dispatch.ts';
import { CommandOrders } from '#issuance/commands/command-orders.ts';
import { awaitDevice } from '#issuance/commands/conditions.ts';
import type { OutgoingMessage } from '#ports/intake.ts';
import { pinnedRoot, testKeys } from '../core/sync/keys.ts';
import { databaseRigs, type StartedRig } from './database-rigs.ts';
import { commissioner, makeOrganization } from './organization-bench.ts';

const entropy = new SystemEntropy();
const minute = 60_000;
const day = 86_400_000;
const operator = { actor: { id: 'tanaka', via: 'session' } } as const;
const unlock: CommandAction = { kind: 'unlock-once', door: 'front' };
const lockdown: CommandAction = { kind: 'lockdown' };

async function makeBench(rig: StartedRig) {
  const bench = await makeOrganization(rig, 'city');
  const { ledger, clock } = bench;
  const sent: OutgoingMessage[] = [];
  const publishing = (): Promise<void> => Promise.resolve();
  const state = { reached: true, keys: true, publishing };
  const keys = async () => (state.keys ? { signers: testKeys.command } : undefined);
  const parts = { organization: 'city', ledger, clock, entropy, keys };
  const dispatch = () =>
    new CommandDispatch({
      ...parts,
      log: pino({ level: 'silent' }),
      publish: async (message) => {
        if (!state.reached) return 'away';
        await state.publishing();
        sent.push(message);
        return 'taken';
      },
    });
  const enrol = async (terminal: string, revoked = false) => {
    await ledger.db
      .insertInto('terminals')
      .values({ terminal_id: terminal, name: terminal, made_at_ms: 0 })
      .onConflict((at) => at.doNothing())
      .execute();
    await ledger.db
      .insertInto('certificates')
      .values({
        serial_number: `${terminal}-${clock.utcMs()}`,
        terminal_id: terminal,
        key_id: '',
        device_key: new Uint8Array(),
        certificate: new Uint8Array(),
        not_before_ms: 0,
        not_after_ms: clock.utcMs() + 365 * day,
        revoked_at_ms: revoked ? clock.utcMs() : null,
        reason: null,
      })
      .execute();
  };
  return { ...bench, orders: new CommandOrders(parts), dispatch, sent, state, enrol };
}

describe.each(databaseRigs)('commands of the server on $name', ({ start }) => {
  let rig: StartedRig;
  let city: Awaited<ReturnType<typeof makeBench>>;
  let dispatch: CommandDispatch;
  let root: TrustRoot;

  beforeAll(async () => {
    rig = await start();
    root = await pinnedRoot();
  });
  afterAll(() => rig.stop());
  beforeEach(async () => {
    city = await makeBench(rig);
    for (const table of [
      'commands',
      'command_orders',
      'told_devices',
      'certificates',
      'terminals',
      'sites',
    ] as const)
      await city.ledger.db.deleteFrom(table).execute();
    for (const terminal of ['lobby', 'gate', 'lab']) await city.enrol(terminal);
    await city.enrol('scrapped', true);
    dispatch = city.dispatch();
  });
  afterEach(() => city.databases.stop());

  const give = async (
    action: CommandAction,
    to: Parameters<CommandOrders['give']>[0]['to'],
    validMs = minute,
  ) => {
    const outcome = await city.orders.give({ action, reason: '訓練', to, validMs }, operator);
    if (outcome.kind !== 'given') throw new Error(outcome.kind);
    return outcome.id;
  };
  /** What was sent since the last time, as each terminal believes it. */
  const commandsSent = (): readonly Command[] =>
    city.sent.splice(0).map(({ to, payload }) => {
      const document = decodeSigned(payload);
      const checked =
        document.kind === 'refused'
          ? document
          : checkCommand(document.value, { root, terminal: to.terminal });
      if (checked.kind === 'refused') throw new Error(checked.reason);
      return checked.value;
    });
  const answer = (command: Command, outcome: CommandResult['outcome'], more: Partial<CommandResult> = {}) =>
    dispatch.take([
      {
        terminal: command.terminal,
        payload: commandResultBytes({ format: 1, id: command.id, outcome, ...more }),
      },
    ]);
  const standing = async (id: string) =>
    (await city.orders.find(id))?.terminals.map(({ terminal, state, outcome }) => [terminal, state, outcome]);
  const only = (commands: readonly Command[]): Command => {
    const [command] = commands;
    if (!command || commands.length > 1) throw new Error(`${commands.length} commands`);
    return command;
  };

  it('are signed for their terminal, sent until answered, and show what came of them', async () => {
    const id = await give(unlock, { terminals: ['lobby'] });
    await dispatch.round();
    const command = only(commandsSent());
    expect(command).toMatchObject({ terminal: 'lobby', issuedBy: 'tanaka', reason: '訓練', action: unlock });
    expect(command.expiresAtMs - command.issuedAtMs).toBe(minute);
    await dispatch.round();
    expect(commandsSent()).toEqual([]);
    await city.clock.advanceAsync(2_000);
    await dispatch.round();
    expect(only(commandsSent())).toEqual(command);
    await answer(command, 'door-failed', { fault: 'door-unavailable' });
    await city.clock.advanceAsync(minute);
    await dispatch.round();
    expect(commandsSent()).toEqual([]);
    expect(await standing(id)).toEqual([['lobby', 'answered', 'door-failed']]);
    expect((await city.orders.find(id))?.terminals[0]?.result?.fault).toBe('door-unavailable');
  });

  it('are recorded with who and why, with the command or not at all', async () => {
    const count = async () => (await city.ledger.db.selectFrom('audit').select('sequence').execute()).length;
    const before = await count();
    await give({ kind: 'reset-position', holder: 'sato' }, { terminals: ['lobby'] });
    expect(await count()).toBe(before + 1);
    const last = await city.ledger.db
      .selectFrom('audit')
      .selectAll()
      .orderBy('sequence', 'desc')
      .executeTakeFirst();
    const raw = new TextDecoder().decode(last?.raw);
    expect(JSON.parse(raw)).toMatchObject({
      body: { action: 'command-given', by: 'tanaka', command: 'reset-position', terminals: ['lobby'] },
    });
    expect(raw, 'personal values stand beside').not.toMatch(/sato|訓練/);
    const values = await city.ledger.db
      .selectFrom('audit_personal')
      .select(['field', 'value'])
      .where('sequence', '=', last?.sequence ?? 0)
      .execute();
    expect(new Set(values.map(({ field }) => field))).toEqual(new Set(['holder', 'reason']));
    city.state.keys = false;
    expect(
      await city.orders.give({ action: unlock, reason: 'x', to: { terminals: ['lobby'] } }, operator),
    ).toEqual({
      kind: 'no-command-key',
    });
    expect(await count()).toBe(before + 1);
  });

  it('reach the terminals meant, and none beyond the reach of who gives them', async () => {
    const site = { name: '別館', groups: [], terminals: ['lab', 'gate'] };
    await city.ledger.change(commissioner, async ({ db, audit }) => {
      await db
        .insertInto('sites')
        .values({
          site_id: 'annex',
          name: '',
          groups: '[]',
          terminals: JSON.stringify(site.terminals),
          revision: 1,
        })
        .execute();
      await audit({ action: 'test' });
    });
    const told = async (to: Parameters<CommandOrders['give']>[0]['to'], terminals?: readonly string[]) => {
      const by = { ...operator, ...(terminals && { terminals: new Set(terminals) }) };
      const outcome = await city.orders.give({ action: lockdown, reason: 'x', to }, by);
      if (outcome.kind !== 'given') return outcome.kind;
      return (await city.orders.find(outcome.id))?.terminals.map(({ terminal }) => terminal);
    };
    expect(await told({ all: true })).toEqual(['gate', 'lab', 'lobby']);
    expect(await told({ sites: ['annex'] })).toEqual(['gate', 'lab']);
    expect(await told({ terminals: ['lobby'], sites: ['annex'] })).toEqual(['gate', 'lab', 'lobby']);
    expect(await told({ all: true }, ['lab'])).toEqual(['lab']);
    expect(await told({ terminals: ['lobby'] }, ['lab'])).toBe('out-of-reach');
    expect(await told({ sites: ['annex'] }, ['lab'])).toBe('out-of-reach');
    expect(await told({ terminals: ['nowhere'] })).toBe('not-there');
    expect(await told({ sites: ['nowhere'] })).toBe('not-there');
    expect(await told({ all: true }, [])).toBe('not-there');
    const many = await city.orders.give({ action: unlock, reason: 'x', to: { all: true } }, operator);
    expect(many.kind).toBe('invalid');
    const own = await city.orders.page('', 100, new Set(['lobby']));
    expect(own.flatMap(({ terminals }) => terminals.map(({ terminal }) => terminal))).toEqual([
      'lobby',
      'lobby',
    ]);
  });

  it('refuse words and times that no command may have', async () => {
    const refused = (change: Partial<Parameters<CommandOrders['give']>[0]>) =>
      city.orders.give({ action: unlock, reason: 'x', to: { terminals: ['lobby'] }, ...change }, operator);
    await expect(refused({ reason: 'two\nlines' })).rejects.toThrow('reason');
    await expect(refused({ validMs: day + 1 })).rejects.toThrow('a day at most');
    const zones = Array.from({ length: 1_000 }, (_, n) => `${n}`.padStart(64, '帯'));
    await expect(refused({ action: { kind: 'lockdown', zones } })).rejects.toThrow('too long');
  });

  it('without an answer end as such, once their terminal would not know any more', async () => {
    const id = await give(unlock, { terminals: ['lobby'] });
    await dispatch.round();
    const command = only(commandsSent());
    await city.clock.advanceAsync(minute + day);
    await dispatch.round();
    expect(await standing(id)).toEqual([['lobby', 'unanswered', undefined]]);
    await answer(command, 'replayed', { first: 'done' });
    expect(await standing(id), 'an answer that comes all the same counts').toEqual([
      ['lobby', 'answered', 'done'],
    ]);
  });

  it('a result of another terminal, or of no command, changes nothing', async () => {
    const id = await give(unlock, { terminals: ['lobby'] });
    await dispatch.round();
    const command = only(commandsSent());
    await answer({ ...command, terminal: 'gate' }, 'done');
    await answer({ ...command, id: 'f'.repeat(32) }, 'done');
    await dispatch.take([{ terminal: 'lobby', payload: new Uint8Array([1]) }]);
    expect(await standing(id)).toEqual([['lobby', 'waiting', undefined]]);
    await answer(command, 'done');
    await answer(command, 'failed');
    expect(await standing(id), 'the first answer stands').toEqual([['lobby', 'answered', 'done']]);
  });

  it('wait for the broker, and are sent again at once when it or the terminal is there again', async () => {
    city.state.reached = false;
    await give(unlock, { terminals: ['lobby'] });
    await dispatch.round();
    expect(commandsSent()).toEqual([]);
    city.state.reached = true;
    await dispatch.round();
    expect(commandsSent()).toHaveLength(1);
    dispatch.connected();
    await dispatch.round();
    expect(commandsSent()).toHaveLength(1);
    await dispatch.heard('gate');
    await dispatch.round();
    expect(commandsSent()).toEqual([]);
    await dispatch.heard('lobby');
    await dispatch.round();
    expect(commandsSent()).toHaveLength(1);
    const restarted = city.dispatch();
    await restarted.round();
    expect(commandsSent(), 'after a restart of the server').toHaveLength(1);
  });

  it('go to many terminals at once, and what was given since before the rest', async () => {
    for (let n = 10; n < 80; n += 1) await city.enrol(`z-${n}`);
    const first = await give(lockdown, { all: true });
    await give(unlock, { terminals: ['z-79'] });
    const released = Promise.withResolvers<void>();
    let going = 0;
    city.state.publishing = () => {
      going += 1;
      return released.promise;
    };
    const round = dispatch.round();
    await vi.waitFor(() => expect(going).toBe(64));
    await give({ kind: 'evacuation' }, { terminals: ['z-78'] });
    dispatch.changed();
    released.resolve();
    await round;
    const before = commandsSent();
    expect(new Set(before.map(({ terminal }) => terminal)).size).toBe(64);
    const newest = before.filter(({ terminal }) => terminal === 'z-79').map(({ action }) => action.kind);
    expect(newest, 'in the order they were given').toEqual(['lockdown', 'unlock-once']);
    await dispatch.round();
    const after = commandsSent();
    const last = after.filter(({ terminal }) => terminal === 'z-78').map(({ action }) => action.kind);
    expect(last).toEqual(['lockdown', 'evacuation']);
    const told = [...before, ...after].filter(({ action }) => action.kind === 'lockdown');
    expect(told.map(({ terminal }) => terminal).sort()).toEqual(
      (await standing(first))?.map(([terminal]) => terminal),
    );
  });

  it('a condition is signed anew for a terminal that was away, whether hours or days', async () => {
    const id = await give(lockdown, { terminals: ['lobby'] });
    await dispatch.round();
    const first = only(commandsSent());
    await city.clock.advanceAsync(3_600_000);
    await dispatch.heard('lobby');
    await dispatch.round();
    expect(only(commandsSent()), 'it may have done it').toEqual(first);
    await answer(first, 'expired');
    await dispatch.round();
    const second = only(commandsSent());
    expect(second).toMatchObject({ issuedBy: 'tanaka', reason: '訓練', action: lockdown });
    expect(second.id).not.toBe(first.id);
    expect(second.expiresAtMs).toBeGreaterThan(city.clock.utcMs());
    await city.clock.advanceAsync(3 * day);
    await dispatch.heard('lobby');
    await dispatch.round();
    const third = only(commandsSent());
    expect(third.expiresAtMs).toBeGreaterThan(city.clock.utcMs());
    await answer(third, 'done');
    expect(await standing(id)).toEqual([['lobby', 'answered', 'done']]);
  });

  it('a condition that a terminal could not take for its clock is signed anew, and not at once', async () => {
    const id = await give(lockdown, { terminals: ['lobby'] });
    await dispatch.round();
    const first = only(commandsSent());
    await answer(first, 'time-unknown');
    await dispatch.round();
    expect(commandsSent()).toEqual([]);
    await city.clock.advanceAsync(300_000);
    await answer(first, 'replayed', { first: 'time-unknown' });
    await dispatch.round();
    const second = only(commandsSent());
    expect(second.id).not.toBe(first.id);
    await answer(second, 'done');
    expect(await standing(id)).toEqual([['lobby', 'answered', 'done']]);
  });

  it('a condition that a terminal calls late by its clock alone is signed anew now and then', async () => {
    await give(lockdown, { terminals: ['lobby'] });
    let renewals = 0;
    let last: string | undefined;
    for (let seconds = 0; seconds < 1_200; seconds += 10) {
      await dispatch.round();
      for (const command of commandsSent()) {
        if (command.id !== last) renewals += 1;
        last = command.id;
        expect(command.expiresAtMs - command.issuedAtMs).toBe(15 * minute);
        await answer(command, 'expired');
      }
      await city.clock.advanceAsync(10_000);
    }
    expect(renewals).toBeGreaterThan(2);
    expect(renewals).toBeLessThanOrEqual(4);
  });

  it('a condition of the whole site takes the place of what waits of it, zones follow one another', async () => {
    const declared = await give(lockdown, { all: true });
    const zone = await give({ kind: 'lockdown', zones: ['lab'] }, { terminals: ['lobby'] });
    expect((await standing(declared))?.map(([, state]) => state)).toEqual(['waiting', 'waiting', 'waiting']);
    const ended = await give({ kind: 'end-lockdown' }, { terminals: ['lobby', 'gate'] });
    expect((await standing(declared))?.map(([, state]) => state)).toEqual([
      'superseded',
      'waiting',
      'superseded',
    ]);
    expect(await standing(zone)).toEqual([['lobby', 'superseded', undefined]]);
    await dispatch.round();
    expect(
      commandsSent()
        .map(({ terminal, action }) => [terminal, action.kind])
        .sort(),
    ).toEqual([
      ['gate', 'end-lockdown'],
      ['lab', 'lockdown'],
      ['lobby', 'end-lockdown'],
    ]);
    expect((await standing(ended))?.length).toBe(2);
  });

  it('an end that comes too late is signed anew as of when it was given, with what was declared since, in order', async () => {
    const givenMs = city.clock.utcMs();
    const end = await give({ kind: 'end-lockdown' }, { terminals: ['lobby'] });
    await city.clock.advanceAsync(3_600_000);
    const declared = await give({ kind: 'lockdown', zones: ['lab'] }, { terminals: ['lobby'] });
    const other = await give({ kind: 'evacuation' }, { terminals: ['lobby'] });
    await dispatch.heard('lobby');
    await dispatch.round();
    for (const command of commandsSent())
      await answer(command, command.action.kind === 'end-lockdown' ? 'expired' : 'done');
    expect(await standing(other)).toEqual([['lobby', 'answered', 'done']]);
    await dispatch.round();
    const again = commandsSent();
    expect(again.map(({ action }) => action.kind)).toEqual(['end-lockdown', 'lockdown']);
    const times = again.map((command) => givenAtMs(command));
    expect(times, 'the end lifts nothing that was declared there since').toEqual([
      givenMs,
      givenMs + 3_600_000,
    ]);
    for (const command of again) await answer(command, 'done');
    expect([await standing(end), await standing(declared)]).toEqual([
      [['lobby', 'answered', 'done']],
      [['lobby', 'answered', 'done']],
    ]);
  });

  it('what is signed anew keeps its order also where the clock was put back meanwhile', async () => {
    await give({ kind: 'end-lockdown' }, { terminals: ['lobby'] });
    city.clock.stepUtc(-60_000);
    await give({ kind: 'lockdown', zones: ['lab'] }, { terminals: ['lobby'] });
    await city.clock.advanceAsync(3_600_000);
    await dispatch.round();
    for (const command of commandsSent()) await answer(command, 'expired');
    await dispatch.round();
    const again = commandsSent();
    expect(again.map(({ action }) => action.kind)).toEqual(['end-lockdown', 'lockdown']);
    const [ended = 0, declared = 0] = again.map((command) => givenAtMs(command));
    expect(declared, 'brought first, it stands').toBeGreaterThan(ended);
  });

  it('zones that are declared or ended later take the place of what waits for no others', async () => {
    const gone = await give({ kind: 'end-lockdown', zones: ['lab'] }, { terminals: ['lobby', 'gate'] });
    const wider = await give({ kind: 'end-lockdown', zones: ['lab', 'hall'] }, { terminals: ['lobby'] });
    await give({ kind: 'lockdown', zones: ['lab', 'roof'] }, { terminals: ['lobby'] });
    expect(await standing(gone)).toEqual([
      ['gate', 'waiting', undefined],
      ['lobby', 'superseded', undefined],
    ]);
    expect(await standing(wider)).toEqual([['lobby', 'waiting', undefined]]);
  });

  it('a terminal whose journal is another one is told again of the conditions that stand, and of them alone', async () => {
    const told: string[] = [];
    const done = async (action: CommandAction) => {
      told.push(await give(action, { terminals: ['lobby'] }));
      await dispatch.round();
      for (const command of commandsSent()) await answer(command, 'done');
    };
    const again = async (incarnation?: string) => {
      await dispatch.heard('lobby', incarnation);
      await dispatch.round();
      const commands = commandsSent();
      for (const command of commands) await answer(command, 'done');
      return commands.map(({ action }) => [action.kind, 'zones' in action ? action.zones : undefined]);
    };
    await dispatch.heard('lobby', 'first');
    await done({ kind: 'lockdown', zones: ['roof'] });
    await done({ kind: 'lockdown' });
    await done({ kind: 'lockdown', zones: ['lab'] });
    await done({ kind: 'end-lockdown', zones: ['lab', 'hall'] });
    await done({ kind: 'identify', reader: 'front', seconds: 30 });
    await done({ kind: 'evacuation' });
    expect([await again(), await again('first')]).toEqual([[], []]);
    const standing = [
      ['lockdown', undefined],
      ['end-lockdown', ['lab', 'hall']],
      ['evacuation', undefined],
    ];
    expect([await again('second'), await again('second')]).toEqual([standing, []]);
    // another process has not heard of it
    dispatch = city.dispatch();
    expect([await again('second'), await again('third')]).toEqual([[], standing]);
  });

  it('a terminal whose journal was not known before, as after an update of the server, is told nothing again', async () => {
    const enrolled = (terminal: string) =>
      city.ledger.db.transaction().execute((db) => awaitDevice({ db }, terminal));
    await give(lockdown, { terminals: ['lobby', 'gate'] });
    await dispatch.round();
    for (const command of commandsSent()) await answer(command, 'done');
    await enrolled('gate');
    for (const terminal of ['lobby', 'gate']) await dispatch.heard(terminal, 'one');
    await dispatch.round();
    expect(
      commandsSent().map(({ terminal }) => terminal),
      'gate was enrolled anew',
    ).toEqual(['gate']);
    await enrolled('lobby');
    await dispatch.heard('lobby', 'one');
    await dispatch.round();
    expect(commandsSent(), 'the same device enrolled anew').toEqual([]);
    await dispatch.heard('lobby', 'another');
    await dispatch.round();
    expect(commandsSent().map(({ terminal }) => terminal)).toEqual(['lobby']);
  });

  it('a terminal that is enrolled later is told of what holds everywhere, once', async () => {
    await give(lockdown, { all: true });
    await give({ kind: 'end-lockdown' }, { all: true });
    const zones: CommandAction = { kind: 'lockdown', zones: ['lab'] };
    await give(zones, { all: true });
    await give({ kind: 'evacuation' }, { terminals: ['lobby'] });
    await city.enrol('annex');
    for (const one of ['annex', 'annex', 'lobby']) await dispatch.heard(one);
    await dispatch.round();
    const told = commandsSent().filter(({ terminal }) => terminal === 'annex');
    expect(told.map(({ action }) => action)).toEqual([{ kind: 'end-lockdown' }, zones]);
    const again = city.dispatch();
    await again.heard('annex');
    expect(
      await city.ledger.db.selectFrom('commands').selectAll().where('terminal_id', '=', 'annex').execute(),
    ).toHaveLength(2);
  });

  it('are forgotten after months, but for conditions; nothing waits for a terminal that was shut out', async () => {
    const over = await give(unlock, { terminals: ['lobby'] });
    const condition = await give(lockdown, { all: true });
    await city.ledger.db.deleteFrom('certificates').where('terminal_id', '=', 'gate').execute();
    await city.clock.advanceAsync(91 * day);
    await dispatch.round();
    expect(await city.orders.find(over)).toBeUndefined();
    expect((await standing(condition))?.map(([terminal, state]) => [terminal, state])).toEqual([
      ['gate', 'unanswered'],
      ['lab', 'waiting'],
      ['lobby', 'waiting'],
    ]);
  });
});
