import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { itemOfLine, parseExportLine } from '#core/journal/export.ts';
import { verifyJournal } from '#core/journal/verify.ts';
import type { LiveEvent } from '#core/sync/live-events.ts';
import { type Scope, scopes } from '#issuance/administrators/roles.ts';
import { HttpServer } from '#issuance/http/server.ts';
import { checkBatch } from '#issuance/journal/checked-batch.ts';
import { JournalStore } from '#issuance/journal/journal-store.ts';
import { type OrganizationServices, Services } from '#issuance/services.ts';
import { databaseRigs, type StartedRig } from './database-rigs.ts';
import { JournalDevice, startMs } from './journal-device.ts';
import { commissioner, makeOrganization } from './organization-bench.ts';

interface Page {
  readonly items: readonly { readonly [member: string]: unknown }[];
  readonly next: string | null;
}

const event = (sequence: number, kind = 'door', body: LiveEvent['body'] = { door: 'north' }): LiveEvent => ({
  ...{ incarnation: 'a', sequence, atMs: startMs, clock: 'trusted', kind, body },
});

describe.each(databaseRigs)('journals over HTTP on $name', ({ start }) => {
  let rig: StartedRig;
  let city: Awaited<ReturnType<typeof makeOrganization>>;
  let services: OrganizationServices;
  let server: HttpServer;
  let url: string;
  const [lobby, gate] = [new JournalDevice('lobby').append(12), new JournalDevice('gate').append(3)];

  beforeAll(async () => {
    rig = await start();
    city = await makeOrganization(rig, 'city');
    const all = new Services({
      ...city.shared,
      organizations: city.organizations,
      alarm: () => undefined,
      commandKeys: async () => undefined,
    });
    services = (await all.find('city')) as OrganizationServices;
    server = new HttpServer({
      services: all,
      log: pino({ level: 'silent' }),
      answered: () => undefined,
      checkHealth: async () => undefined,
      version: '1.2.3',
      lists: { directory: '', look: () => undefined },
    });
    url = await server.start({ host: '127.0.0.1', port: 0 });
    const store = new JournalStore({
      db: await city.databases.journal(city.organization),
      clock: city.clock,
      entropy: city.shared.entropy,
    });
    await city.ledger.db
      .insertInto('certificates')
      .values({
        serial_number: '1',
        terminal_id: 'lobby',
        key_id: '1',
        device_key: lobby.key.spki,
        certificate: new Uint8Array(1),
        not_before_ms: 0,
        not_after_ms: 1,
        revoked_at_ms: null,
        reason: null,
      })
      .execute();
    const signed = lobby.batch(1, 12, { checkpoints: [await lobby.checkpoint()] });
    await store.store([checkBatch(signed, lobby.keys()), checkBatch(gate.batch(), gate.keys())]);
    await store.store([checkBatch(gate.rewritten(2).batch(), gate.keys())]);
  });
  afterAll(async () => {
    await server.stop();
    await city.databases.stop();
    await rig.stop();
  });

  const token = async (own: readonly Scope[]) =>
    (await city.principals.makeApiToken({ name: 'test', scopes: [...own], days: 1 }, commissioner)).token;
  const ask = async (path: string, own: readonly Scope[] = scopes, body?: unknown, method = 'POST') => {
    const reply = await fetch(`${url}/api/v1/organizations/city${path}`, {
      headers: {
        authorization: `Bearer ${await token(own)}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { method, body: JSON.stringify(body) }),
    });
    // a body that nobody reads would keep its connection
    const text = await reply.text();
    return {
      status: reply.status,
      headers: reply.headers,
      text: async () => text,
      json: async () => JSON.parse(text),
    };
  };
  const page = async (path: string, own?: readonly Scope[], body?: unknown) => {
    const reply = await ask(path, own, body);
    expect(reply.status).toBe(200);
    return (await reply.json()) as Page;
  };

  it('lists entries page by page, by all that they can be found by', async () => {
    const seen: unknown[] = [];
    let cursor = '';
    do {
      const { items, next }: Page = await page(`/journal/entries?limit=4&terminal=lobby${cursor}`);
      seen.push(...items.map(({ sequence }) => sequence));
      cursor = next === null ? '' : `&cursor=${next}`;
    } while (cursor !== '');
    expect(seen).toEqual([12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
    const numbers = async (query: string) =>
      (await page(`/journal/entries?${query}`)).items.map(
        ({ terminal, sequence }) => `${terminal} ${sequence}`,
      );
    expect(await numbers(`tapId=${'3'.padStart(32, '0')}&terminal=lobby`)).toEqual(['lobby 3']);
    expect(await numbers('door=south&terminal=gate')).toEqual(['gate 2']);
    expect(await numbers('kind=alarm')).toEqual([]);
    const at = (ms: number) => new Date(startMs + ms).toISOString();
    expect(await numbers(`terminal=gate&from=${at(2_000)}&until=${at(3_000)}`)).toEqual(['gate 2']);
    expect((await ask('/journal/entries?cursor=nonsense')).status).toBe(200);
    expect((await ask('/journal/entries?from=yesterday')).status).toBe(400);
  });

  it('shows personal values, and looks for persons, for whoever may, and records that', async () => {
    const plain = await page('/journal/entries?terminal=lobby&limit=1', ['journal:read']);
    expect(plain.items[0]).not.toHaveProperty('personal');
    const shown = await page('/journal/entries?terminal=lobby&limit=1', ['journal:read', 'journal:personal']);
    expect(shown.items[0]).toMatchObject({ sequence: 12, personal: { userNumber: 'A12' }, clock: 'trusted' });
    const sought = { person: { userNumbers: ['A2', 'A12'] } };
    expect((await ask('/journal/entries/search', ['journal:read'], sought)).status).toBe(403);
    expect((await ask('/journal/entries/search', scopes, { person: {} })).status).toBe(400);
    const found = await page('/journal/entries/search', scopes, sought);
    expect(found.items.map(({ terminal, sequence }) => [terminal, sequence])).toEqual([
      ['lobby', 12],
      ...(['lobby', 'gate'].includes(String(found.items[1]?.terminal))
        ? found.items.slice(1).map(({ terminal }) => [terminal, 2])
        : []),
    ]);
    expect(found.items).toHaveLength(3);
    const [last] = await services.audit
      .page({ before: Number.MAX_SAFE_INTEGER, limit: 50 })
      .then((entries) => entries.filter(({ body }) => body.action === 'journal-searched'));
    expect(last?.personal).toEqual({ sought: 'A2 A12' });
  });

  it('tells how far journals are, and what is wrong with them', async () => {
    expect((await page('/journal/terminals')).items).toMatchObject([
      { terminal: 'gate', sequence: 3, alarms: 1, missing: 0 },
      { terminal: 'lobby', sequence: 12, signedThrough: 12, alarms: 0, hash: lobby.position().hash },
    ]);
    const { items, next } = await page('/journal/alarms');
    expect(next).toBeNull();
    expect(items).toMatchObject([
      { terminal: 'gate', kind: 'entry-rewritten', fromSequence: 2, toSequence: 3 },
    ]);
    expect((await page('/journal/alarms?terminal=lobby')).items).toEqual([]);
  });

  it('shows facilities administrators the terminals of their sites alone', async () => {
    const sites = { name: '正面', groups: [], terminals: ['lobby'] };
    await services.sites.put('front', sites, 0, commissioner);
    const principal = { terminals: new Set(['lobby']) };
    const { entries } = await services.journals();
    expect((await entries.page(principal, { limit: 99 })).entries).toHaveLength(12);
    expect((await entries.page({ ...principal, terminal: 'gate' }, { limit: 99 })).entries).toEqual([]);
    expect((await entries.page({ terminals: new Set() }, { limit: 99 })).entries).toEqual([]);
  });

  it('gives a journal away whole, as a terminal does, and as a table', async () => {
    const reply = await ask('/journal/export/lobby?personal=true');
    expect(reply.headers.get('content-type')).toContain('application/x-ndjson');
    const text = await reply.text();
    const lines = text.trimEnd().split('\n').map(parseExportLine);
    const items = lines.flatMap((line) => (line && itemOfLine(line)) ?? []);
    const report = await verifyJournal(items, {
      publicKeys: [],
      heads: [lobby.position()],
      personalIncluded: true,
      checkpointEveryEntries: 1_000,
    });
    expect(report).toMatchObject({ sound: true, entries: 12, checkpoints: 1 });
    expect(lines.at(-1)).toMatchObject({ type: 'head', entries: 12, head: { ...lobby.position() } });
    expect((await ask('/journal/export/lobby?personal=true', ['journal:read'])).status).toBe(403);
    expect(await (await ask('/journal/export/lobby')).text()).not.toContain('"personal":[');
    const table = await (await ask('/journal/table?terminal=gate')).text();
    const rows = table.trimEnd().split('\r\n');
    expect(rows[0]).toBe('terminal,incarnation,sequence,at,received,clock,kind,tapId,door,body');
    expect(rows).toHaveLength(4);
    expect(rows[1]).toContain('gate,gate-1,3,');
    expect(rows[1]).toContain('"{""door"":""north""}"');
    expect(table).not.toContain('A3');
    expect(await (await ask('/journal/table?personal=true')).text()).toContain(',A3\r\n');
  });

  it('lets go by rule and for a person, for whoever may', async () => {
    expect((await ask('/journal/retention', ['journal:read'], { entries: 400 }, 'PUT')).status).toBe(403);
    expect((await ask('/journal/retention', scopes, { entries: 0 }, 'PUT')).status).toBe(400);
    expect((await ask('/journal/retention', scopes, { entries: 400, personal: 90 }, 'PUT')).status).toBe(204);
    expect(await (await ask('/journal/retention')).json()).toEqual({ entries: 400, personal: 90 });
    expect((await ask('/journal/erasures', ['journal:read'], { userNumbers: ['A5'] })).status).toBe(403);
    const erased = await ask('/journal/erasures', scopes, { holderId: 'nobody', userNumbers: ['A5'] });
    expect(await erased.json()).toEqual({ entries: 1, values: 1 });
    expect(await (await services.journals()).verify('lobby')).toMatchObject({
      sound: true,
      chains: [{ segments: [{ signedThrough: 12 }] }],
    });
  });

  /** Texts of events until there are `count`. */
  const watch = async (path: string, count: number, headers: Record<string, string> = {}) => {
    const reply = await fetch(`${url}/api/v1/organizations/city${path}`, {
      headers: { authorization: `Bearer ${await token(scopes)}`, ...headers },
    });
    expect(reply.headers.get('content-type')).toContain('text/event-stream');
    const read = async () => {
      let text = '';
      for await (const chunk of reply.body ?? []) {
        text += Buffer.from(chunk).toString();
        const events = text.split('\n\n').filter((one) => one.startsWith('id:'));
        if (events.length >= count) {
          return events;
        }
      }
      return [];
    };
    return { read };
  };
  const dataOf = (text = '') => JSON.parse(text.split('\ndata: ')[1] ?? '') as { readonly sequence: number };

  it('tells whoever watches of what happens, and again from where a connection was lost', async () => {
    services.live.entries('lobby', [event(1, 'alarm', { alarm: 'forced' })]);
    const { read } = await watch('/events?terminals=lobby,gate&kinds=door,alarm', 3);
    services.live.entries('gate', [event(7), event(8, 'reader')]);
    services.live.entries('annex', [event(9)]);
    services.live.alarm({
      ...{ terminal: 'gate', incarnation: 'a', kind: 'entry-rewritten', fromSequence: 1, toSequence: 2 },
    });
    const events = await read();
    expect(events.map((text) => /event: (.*)/.exec(text)?.[1])).toEqual(['alarm', 'entry', 'journal-alarm']);
    expect(dataOf(events[1])).toMatchObject({ terminal: 'gate', sequence: 7, at: expect.any(String) });
    const id = /id: (.*)/.exec(events[1] ?? '')?.[1] ?? '';
    const again = await watch('/events', 3, { 'last-event-id': id });
    const missed = await again.read();
    expect(missed.map((text) => dataOf(text).sequence)).toEqual([8, 9, undefined]);
  });

  it('lets nobody watch who may not', async () => {
    expect((await ask('/events', ['terminals:read'])).status).toBe(403);
  });
});
