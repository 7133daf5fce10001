import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { withIssuance } from '#cli/issuance-organization.ts';
import { commandPrincipal } from '#cli/organization-services.ts';
import { profileFile } from '../contracts/deck.ts';
import { freePort } from '../free-port.ts';
import { rulesDocument, staffWith } from '../issuance/organization-bench.ts';
import { ConnectedDevice } from '../terminal/connected-device.ts';
import { done, endPrograms, type Program, run } from './programs.ts';

let folder = '';
const at = (name: string): string => join(folder, name);
const server = () => ['--config', at('issuance.yaml')];
const place = () => [...server(), '--organization', 'city'];
const soon = { timeout: 45_000, interval: 20 };

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'kazasu-distributed-'));
  const [port, brokerPort] = [await freePort(), await freePort()];
  writeFileSync(
    at('issuance.yaml'),
    `formatVersion: 1
stateDirectory: ${at('server')}
http: { port: 0 }
terminals: { listen: 127.0.0.1, port: ${port}, brokerPort: ${brokerPort} }
`,
  );
  for (const name of ['lobby', 'vault']) {
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
  }
});
afterAll(async () => {
  await endPrograms();
  rmSync(folder, { recursive: true });
});

async function put(holderId: string, userNumber: string): Promise<void> {
  await withIssuance(at('issuance.yaml'), async ({ services }) => {
    const city = await services.find('city');
    await city?.holders.put(holderId, staffWith(userNumber), undefined, commandPrincipal());
  });
}

async function enrol(name: string): Promise<void> {
  const file = ['--out', at(`${name}.json`)];
  await done('issuance', 'terminal', 'prepare', name, ...place(), ...file);
  await done('terminal', 'enrol', '--config', at(`${name}.yaml`), '--file', at(`${name}.json`));
}

interface Listed {
  readonly terminal: string;
  readonly presence?: { readonly policy?: { readonly installed?: { readonly version: number } } };
}

it('what is entered at the server reaches the doors, and who is suspended there is refused at the next tap', async () => {
  await done('issuance', 'organization', 'city', ...server());
  let issuance: Program = await run('ready', 'issuance', 'run', ...server());
  await withIssuance(at('issuance.yaml'), async ({ services }) => {
    await (await services.find('city'))?.rules.make({ document: rulesDocument }, commandPrincipal().actor);
  });
  await put('hanako', 'USER0001');
  await put('taro', 'USER0002');
  await enrol('lobby');
  await enrol('vault');

  // one is the program, the other what the program builds, with cards of the test
  const lobby = await run('policy in force', 'terminal', 'run', '--config', at('lobby.yaml'));
  let vault = await ConnectedDevice.start(at('vault'), 'vault');
  await vi.waitFor(
    async () => expect(await vault.tap('USER0001')).toMatchObject({ result: 'granted' }),
    soon,
  );
  expect(await vault.tap('USER0002')).toMatchObject({ result: 'granted' });

  const suspended = ['hanako', '--reason', '紛失', ...place()];
  await done('issuance', 'holder', 'suspend', ...suspended);
  await vi.waitFor(
    async () => expect(await vault.tap('USER0001')).toMatchObject({ reason: 'holder-suspended' }),
    soon,
  );
  expect(await vault.tap('USER0002')).toMatchObject({ result: 'granted' });

  // while the server is away doors go on by what they have, also over a restart
  await issuance.end('SIGKILL');
  await vault.stop();
  vault = await ConnectedDevice.start(at('vault'), 'vault');
  expect(await vault.tap('USER0001')).toMatchObject({ reason: 'holder-suspended' });
  expect(await vault.tap('USER0002')).toMatchObject({ result: 'granted' });
  // what is suspended meanwhile is heard once the server is back
  await done('issuance', 'holder', 'suspend', 'taro', ...place());
  issuance = await run('ready', 'issuance', 'run', ...server());
  await vi.waitFor(
    async () => expect(await vault.tap('USER0002')).toMatchObject({ reason: 'holder-suspended' }),
    soon,
  );
  await done('issuance', 'holder', 'resume', 'hanako', ...place());
  await vi.waitFor(
    async () => expect(await vault.tap('USER0001')).toMatchObject({ result: 'granted' }),
    soon,
  );

  const listed = JSON.parse(await done('issuance', 'terminal', 'list', ...place(), '--json')).terminals;
  expect((listed as Listed[]).map(({ terminal }) => terminal)).toEqual(['lobby', 'vault']);
  expect(lobby.faults).not.toContain('policy-altered');
  await vault.stop();
  expect(await lobby.end('SIGTERM')).toBe(0);
  expect(await issuance.end('SIGTERM')).toBe(0);
}, 180_000);
