import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { PolicyStore } from '#adapters/sqlite/policy-store.ts';
import { PolicySyncStore } from '#adapters/sqlite/policy-sync-store.ts';
import { siteRulesSchema } from '#core/access/site-rules.ts';
import { encodeSigned } from '#core/sync/signed.ts';
import { settlePromises } from '#simulators/clock/simulated-clock.ts';
import { DistributionTrust } from '#terminal/distribution-trust.ts';
import { rootContent, signRoot } from '../core/sync/keys.ts';
import { PolicyIssuer } from '../policy-issuer.ts';
import { Bench, noon, reading } from './terminal-fixture.ts';

const rules = siteRulesSchema.parse({
  formatVersion: 1,
  organization: 'example',
  profiles: [
    {
      id: 'type-a',
      userNumberFormat: { alphabet: 'uppercase-alphanumeric', minimumLength: 8, maximumLength: 10 },
    },
  ],
  groups: ['staff'],
  doors: [{ id: 'door-1' }, { id: 'door-2' }],
  permissions: [
    { group: 'staff', door: 'door-1' },
    { group: 'staff', door: 'door-2' },
  ],
});

let directory: string;
let issuer: PolicyIssuer;
let bench: Bench;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'kazasu-distributed-'));
  const [file, journal] = [join(directory, 'policy.sqlite'), join(directory, 'journal.sqlite')];
  const trust = new DistributionTrust({ terminal: 'test' });
  issuer = new PolicyIssuer({ terminal: 'test', rules });
  const cards = [{ profileId: 'type-a', userNumber: reading.userNumber, status: 'active' as const }];
  issuer.put({ holderId: 'sato', status: 'active', groups: ['staff'], cards });
  const roots = [encodeSigned(await signRoot(rootContent({ organization: 'example' })))];
  bench = new Bench({
    distributed: {
      policy: new PolicyStore({ file, journal, trust }),
      distribution: {
        sync: new PolicySyncStore({ file }),
        source: issuer,
        trust,
        roots: { load: async () => roots, save: async () => undefined },
        chance: () => 0,
      },
    },
  });
  await bench.terminal.start();
});

afterEach(async () => {
  await bench.terminal.stop();
  rmSync(directory, { recursive: true, force: true });
});

/** Simulated time stands still while threads work. */
async function until(done: () => boolean): Promise<void> {
  while (!done()) await settlePromises();
}

async function tapped() {
  const before = bench.decisions().length;
  bench.present({ kind: 'reading', reading });
  await until(() => bench.decisions().length > before);
  return bench.decisions().at(-1);
}

async function inForce(): Promise<void> {
  await bench.terminal.policySync?.manifestReceived((await issuer.issue(noon)).message);
  await until(() => bench.terminal.policySync?.status().installed !== undefined);
}

it('opens by what the server distributes, and no more for whom it revokes', async () => {
  expect(await tapped()).toMatchObject({ result: 'denied', reason: 'policy-absent' });
  await inForce();
  expect(await tapped()).toMatchObject({ result: 'granted' });
  await until(() => !bench.locked());
  await bench.clock.advanceAsync(10_000);
  await bench.terminal.policySync?.revocationReceived(await issuer.revoke(['sato']));
  expect(await tapped()).toMatchObject({ result: 'denied', reason: 'holder-suspended' });
  expect(bench.locked()).toBe(true);
  const told = () => bench.journal.records.filter(({ kind }) => kind === 'policy').map(({ body }) => body);
  await until(() => told().length === 2);
  const events = told();
  expect(events).toMatchObject([
    { event: 'installed', version: 1 },
    { event: 'revoked', holders: 1 },
  ]);
  expect(JSON.stringify(events)).not.toContain('sato');
});

it('opens nothing by a policy that somebody edited, raises the alarm, and mends it from the server', async () => {
  await inForce();
  const db = new Database(join(directory, 'policy.sqlite'));
  db.prepare("UPDATE chunks SET bytes = CAST(replace(CAST(bytes AS TEXT), 'staff', 'admin') AS BLOB)").run();
  db.close();
  expect(await tapped()).toMatchObject({ result: 'denied', reason: 'fault', fault: 'policy-altered' });
  expect(bench.locked()).toBe(true);
  const alarms = () =>
    bench.journal.records.flatMap(({ body }) => (body.alarm === 'policy-altered' ? [body.on] : []));
  await until(() => alarms().length === 1);
  for (let second = 0; alarms().length < 2; second += 1) {
    await settlePromises();
    if (second % 50 === 0) await bench.clock.advanceAsync(100);
  }
  expect(alarms()).toEqual([true, false]);
  expect(await tapped()).toMatchObject({ result: 'granted' });
});
