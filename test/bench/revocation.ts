import { createReadStream, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { parseArgs } from 'node:util';
import type { Issuance } from '#issuance/main.ts';
import { openTrust } from '#issuance/trust-files.ts';
import { FleetProcess } from '#simulators/fleet/fleet-process.ts';
import { writeReport } from './chart.ts';
import { percentile } from './figures.ts';
import { milliseconds, pause } from './fleet-figures.ts';
import { cores, FleetServer } from './fleet-server.ts';
import { benchRules, userNumber, writeHolders } from './holders.ts';

/**
 * `node test/bench/revocation.ts [--terminals N] [--holders N] [--suspensions N] [--apart MS] [--out FILE] [--short]`
 *
 * From the call that suspends a holder until a terminal believes it, while a list of all holders is imported, from its first
 * byte until it is in force, and then while terminals are told of it: the real server, and terminals that verify what they
 * are told as real ones do, after which it counts at once. Calls are made when they are due, whether the ones before are
 * answered or not. Fails where a terminal does not hear of one, or where p99 is above 2 s, of those during the import or of all.
 */
const { values } = parseArgs({
  options: {
    terminals: { type: 'string', default: '200' },
    holders: { type: 'string', default: '250000' },
    suspensions: { type: 'string', default: '100' },
    apart: { type: 'string', default: '500' },
    out: { type: 'string', default: 'dist/bench/revocation.html' },
    short: { type: 'boolean', default: false },
  },
});
const terminals = values.short ? 20 : Number(values.terminals);
const holders = values.short ? 5_000 : Number(values.holders);
const suspensions = values.short ? 10 : Number(values.suspensions);
/** holders that are there before the import, of whom some are suspended while it goes on */
const before = 10 * suspensions;
const apartMs = values.short ? 200 : Number(values.apart);
const p99Ms = 2_000;
const withinMs = 60_000;

interface ListAnswer {
  readonly id: string;
  readonly state: string;
  readonly changeSet: string;
}

const folder = mkdtempSync(join(tmpdir(), 'kazasu-bench-'));
const server = new FleetServer({ most: terminals });
const fleet = new FleetProcess({ core: cores?.fleet });
let token = '';
try {
  await run();
} finally {
  await fleet.stop();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
}

async function run(): Promise<void> {
  const roots: Uint8Array[] = [];
  const members = await server.prepare(terminals, async (issuance) => {
    roots.push(await prepared(issuance));
  });
  await server.start();
  await applied(await sent(before));
  fleet.start();
  const [root] = roots;
  if (!root) throw new Error('no root of trust');
  await fleet.prepare({
    broker: server.broker(),
    tasks: members.map((member) => ({ member, atMs: [] })),
    passagesInBatch: 1,
    seed: 1,
    disturbed: false,
    root,
  });
  await fleet.connect(values.short ? 300 : 5 * terminals);
  await until('all have a policy', async () => (await fleet.status()).withPolicy === terminals);

  const called = new Map<string, number>();
  const calls: Promise<unknown>[] = [];
  let isImporting = true;
  const imported = sent(holders)
    .then(applied)
    .finally(() => {
      isImporting = false;
    });
  // looked at where it is awaited
  imported.catch(() => undefined);
  const began = performance.now();
  let during = 0;
  for (
    let at = 0;
    at < before && (isImporting || at < suspensions || at < during + suspensions / 5);
    at += 1
  ) {
    await pause(Math.max(0, began + at * apartMs - performance.now()));
    if (isImporting) during = at + 1;
    const holder = userNumber(at);
    called.set(holder, performance.timeOrigin + performance.now());
    calls.push(call('PUT', `/holders/${holder}/suspension`, { reason: 'bench' }));
  }
  await Promise.all([imported, ...calls]);
  const heard = async () => {
    const { revoked } = await fleet.report();
    return [...called.keys()].every((holder) => revoked.get(holder)?.length === terminals);
  };
  await until('all terminals have heard of all', heard);
  const report = await fleet.report();
  const samples = [...called].map(([holder, atMs]) =>
    (report.revoked.get(holder) ?? []).map((heardMs) => heardMs - atMs),
  );
  const all = samples.flat();
  const importing = samples.slice(0, during).flat();
  const facts: [string, string][] = [
    [`from the call until a terminal believes it, during the import (${during})`, milliseconds(importing)],
    [`the same of all (${samples.length})`, milliseconds(all)],
    ['until the last terminal believes it', milliseconds(samples.map((of) => Math.max(...of)))],
    [
      'measured',
      `one suspension each ${apartMs} ms, at ${terminals} terminals, beside a list of ${holders} holders`,
    ],
    ['wrong', report.wrong.length === 0 ? 'nothing' : report.wrong.join('; ')],
  ];
  for (const [what, value] of facts) console.log(`${what}: ${value}`);
  const series = [0.5, 1].map((p) => ({
    name: p === 1 ? 'last terminal, ms' : 'half of them, ms',
    points: samples.map((of, at) => [at, percentile(of, p)] as const),
  }));
  writeReport(values.out, {
    title: 'From a suspension until it counts at the doors',
    facts,
    charts: [{ title: 'Each suspension', x: 'suspension', y: 'milliseconds', series }],
  });
  console.log(`chart: ${values.out}`);
  if (report.wrong.length > 0) process.exitCode = 1;
  if (during === 0) throw new Error('nothing was suspended during the import');
  if (!values.short && Math.max(percentile(importing, 0.99), percentile(all, 0.99)) > p99Ms) {
    console.error(`p99 is above ${p99Ms} ms`);
    process.exitCode = 1;
  }
}

/** Rules for the one door that all terminals have, a token, and the root of trust as it was signed. */
async function prepared(issuance: Issuance): Promise<Uint8Array> {
  const city = await issuance.services.find('city');
  if (!city) throw new Error('no organization');
  const actor = { id: 'bench', via: 'command-line' } as const;
  const { profiles, groups } = benchRules;
  const made = await city.rules.make(
    {
      document: {
        formatVersion: 1,
        organization: 'city',
        profiles: JSON.parse(JSON.stringify(profiles)),
        groups: [...groups],
        doors: [{ id: 'main' }],
        permissions: [{ group: 'staff', door: 'main' }],
      },
    },
    actor,
  );
  if (made.kind !== 'made') throw new Error('the rules are refused');
  const scopes = ['holders:read', 'holders:suspend', 'imports:write'] as const;
  token = (await city.principals.makeApiToken({ name: 'bench', scopes, days: 1 }, actor)).token;
  const trust = await openTrust(issuance, 'city', (fault) => {
    throw fault;
  });
  const [root] = (await trust.roots()).values();
  if (!root) throw new Error('no root of trust');
  return root;
}

/** Sends a list of so many holders, and resolves once it was looked at. */
async function sent(count: number): Promise<string> {
  const file = join(folder, `${count}.csv`);
  writeHolders(file, count);
  const body = Readable.toWeb(createReadStream(file)) as ReadableStream;
  const answer = await call('POST', '/lists?mode=delta', body);
  const { id } = answer as ListAnswer;
  await until(`a list of ${count} is looked at`, async () => {
    const { state } = await list(id);
    if (state === 'refused') throw new Error(JSON.stringify(await list(id)));
    return state === 'ready';
  });
  return id;
}

/** Has a list applied, and resolves once its holders are in force. */
async function applied(id: string): Promise<void> {
  await call('POST', `/lists/${id}/apply`, {});
  await until('the holders of the list are in force', async () => !(await isApplying(id)));
}

async function isApplying(id: string): Promise<boolean> {
  const { changeSet } = await list(id);
  const { state } = (await call('GET', `/change-sets/${changeSet}`)) as { readonly state: string };
  return state !== 'applied';
}

async function list(id: string): Promise<ListAnswer> {
  return (await call('GET', `/lists/${id}`)) as ListAnswer;
}

async function call(method: string, path: string, body?: object): Promise<unknown> {
  const isList = body instanceof ReadableStream;
  const reply = await fetch(`${server.url()}/api/v1/organizations/city${path}`, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body && { 'content-type': isList ? 'text/csv' : 'application/json' }),
    },
    ...(body && { body: isList ? body : JSON.stringify(body) }),
    ...(isList && { duplex: 'half' as const }),
  });
  const text = await reply.text();
  if (!reply.ok) throw new Error(`${method} ${path}: ${reply.status} ${text}`);
  return text === '' ? undefined : JSON.parse(text);
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (const began = performance.now(); !(await holds()); await pause(100)) {
    if (performance.now() - began > withinMs * (values.short ? 1 : 10)) throw new Error(`in vain: ${what}`);
  }
}
