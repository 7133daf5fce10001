import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { HolderFactsStore } from '#adapters/sqlite/holder-facts-store.ts';
import { withIssuance } from '#cli/issuance-organization.ts';
import { commandPrincipal } from '#cli/organization-services.ts';
import { profileFile } from '../contracts/deck.ts';
import { freePort } from '../free-port.ts';
import { rulesDocument, staffWith } from '../issuance/organization-bench.ts';
import { ConnectedDevice } from '../terminal/connected-device.ts';
import { kazasu } from './kazasu.ts';
import { done, endPrograms, type Program, run } from './programs.ts';

let folder = '';
const at = (name: string): string => join(folder, name);
const server = () => ['--config', at('issuance.yaml')];
const place = () => [...server(), '--organization', 'city'];
const soon = { timeout: 30_000, interval: 50 };
const scope = { group: 'pair', apart: 'grant' };
const rules = {
  ...rulesDocument,
  zones: [{ id: 'hall', passback: { mode: 'hard', scope } }],
  terminalGroups: [{ id: 'pair', terminals: ['east', 'west'] }],
};
/** the one leads into the hall, the other out of it */
const zonesOf = { east: { to: 'hall' }, west: { from: 'hall' } } as const;
let issuance: Program;
let east: ConnectedDevice;
let west: ConnectedDevice;

async function enrol(name: 'east' | 'west'): Promise<void> {
  mkdirSync(at(name));
  writeFileSync(
    at(`${name}.yaml`),
    `formatVersion: 1
terminal: ${name}
stateDirectory: ${at(name)}
cardProfiles: [${profileFile('synthetic-type-c')}]
readers: [{ id: r1, name: absent, door: main }]
doors: [{ id: main, hardware: { strike: { kind: gpio, chip: absent, line: 1 } } }]
journal: { reserveMiB: 8 }
`,
  );
  await done('issuance', 'terminal', 'prepare', name, ...place(), '--out', at(`${name}.json`));
  await done('terminal', 'enrol', '--config', at(`${name}.yaml`), '--file', at(`${name}.json`));
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'kazasu-commanded-'));
  const [port, brokerPort] = [await freePort(), await freePort()];
  writeFileSync(
    at('issuance.yaml'),
    `formatVersion: 1
stateDirectory: ${at('server')}
http: { port: 0 }
terminals: { listen: 127.0.0.1, port: ${port}, brokerPort: ${brokerPort} }
`,
  );
  await done('issuance', 'organization', 'city', ...server());
  issuance = await run('ready', 'issuance', 'run', ...server());
  await withIssuance(at('issuance.yaml'), async ({ services }) => {
    const city = await services.find('city');
    await city?.rules.make({ document: rules }, commandPrincipal().actor);
    await city?.holders.put('hanako', staffWith('USER0001'), undefined, commandPrincipal());
  });
  await enrol('east');
  await enrol('west');
  east = await ConnectedDevice.start(at('east'), 'east', 8, zonesOf.east);
  west = await ConnectedDevice.start(at('west'), 'west', 8, zonesOf.west);
  for (const device of [east, west])
    await vi.waitFor(() => expect(device.terminal.policySync?.status().installed).toBeDefined(), soon);
}, 120_000);
afterAll(async () => {
  await Promise.all([east?.stop(), west?.stop()]);
  await endPrograms();
  rmSync(folder, { recursive: true });
});

const command = (...words: readonly string[]) =>
  kazasu('issuance', 'command', ...words, ...place(), '--reason', '訓練', '--json');
const outcomes = (out: string) =>
  (JSON.parse(out).terminals as { terminal: string; outcome?: string }[]).map((one) => [
    one.terminal,
    one.outcome,
  ]);

it('who leaves by one terminal may enter by the other again, and not before', async () => {
  await vi.waitFor(async () => expect(await east.tap('USER0001')).toMatchObject({ result: 'granted' }), soon);
  expect(await east.tap('USER0001')).toMatchObject({ reason: 'already-inside' });
  // the other has heard of it by itself, or nobody knows there
  expect(await west.tap('USER0001')).toMatchObject({ result: 'granted' });
  await vi.waitFor(async () => expect(await east.tap('USER0001')).toMatchObject({ result: 'granted' }), soon);
  await vi.waitFor(async () => expect(await west.tap('USER0001')).toMatchObject({ result: 'granted' }), soon);
  await vi.waitFor(() => expect(east.terminal.group?.apart('pair')).toBe(false), soon);

  const facts = new HolderFactsStore({ file: at('east/journal.sqlite') });
  await vi.waitFor(
    async () => expect((await facts.of('hanako')).get('at')).toMatchObject({ zone: null }),
    soon,
  );

  // what happens while the server is away is told once it is back
  await issuance.end('SIGKILL');
  expect(await east.tap('USER0001')).toMatchObject({ result: 'granted' });
  expect(await west.tap('USER0001'), 'it was not told yet').toMatchObject({ reason: 'not-inside' });
  issuance = await run('ready', 'issuance', 'run', ...server());
  await vi.waitFor(async () => expect(await west.tap('USER0001')).toMatchObject({ result: 'granted' }), {
    ...soon,
    timeout: 60_000,
  });
}, 180_000);

it('commands through the server are done once, recorded with who and why, and answered', async () => {
  const before = east.unlocks();
  const unlocked = await command('door', 'unlock', 'main', '--terminal', 'east', '--wait', '30 s');
  expect([unlocked.code, outcomes(unlocked.out)]).toEqual([0, [['east', 'done']]]);
  expect(east.unlocks()).toBe(before + 1);
  const unknown = await command('door', 'unlock', 'back', '--terminal', 'east', '--wait', '30 s');
  expect([unknown.code, outcomes(unknown.out)]).toEqual([2, [['east', 'unknown-door']]]);
  const state = await command('terminal', 'diagnostics', '--terminal', 'west', '--wait', '30 s');
  expect(JSON.parse(state.out).terminals[0].result.diagnostics.terminal).toBe('west');

  const locked = await command('condition', 'begin', 'lockdown', '--all', '--wait', '30 s');
  expect([locked.code, outcomes(locked.out)]).toEqual([
    0,
    [
      ['east', 'done'],
      ['west', 'done'],
    ],
  ]);
  expect(await east.tap('USER0001')).toMatchObject({ reason: 'lockdown' });

  // a terminal that is away hears of the end when it is back
  await west.stop();
  const ended = await command('condition', 'end', 'lockdown', '--all', '--valid', '1 s', '--wait', '5 s');
  expect([ended.code, outcomes(ended.out)]).toEqual([
    2,
    [
      ['east', 'done'],
      ['west', undefined],
    ],
  ]);
  west = await ConnectedDevice.start(at('west'), 'west', 8, zonesOf.west);
  const order = JSON.parse(ended.out).id as string;
  await vi.waitFor(
    async () => {
      const shown = await done('issuance', 'command', 'show', order, ...place(), '--json');
      expect(outcomes(shown)).toEqual([
        ['east', 'done'],
        ['west', 'done'],
      ]);
    },
    { timeout: 60_000, interval: 500 },
  );
  const given = west.commands().at(-1);
  expect(given).toMatchObject({ body: { command: 'end-lockdown', via: 'issuance', outcome: 'done' } });
  expect(given?.personal?.reason).toBe('訓練');
}, 180_000);
