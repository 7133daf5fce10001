import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Kysely } from 'kysely';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SealedHeadsFile } from '#adapters/keyfile/sealed-heads.ts';
import { openDeviceKey } from '#adapters/keyfile/signing.ts';
import { SystemEntropy } from '#adapters/os/entropy.ts';
import type { Credentials } from '#issuance/administrators/administrators.ts';
import { Passwords } from '#issuance/administrators/passwords.ts';
import { AuditJournal } from '#issuance/audit/audit-journal.ts';
import { peerOf } from '#issuance/http/session-routes.ts';
import type { CommonTables } from '#issuance/storage/common-tables.ts';
import type { Signing } from '#ports/signing.ts';
import { databaseRigs, type StartedRig } from './database-rigs.ts';
import { commissioner, makeOrganization, shownByApp } from './organization-bench.ts';

/** the address of whoever signs in */
const peer = '10.0.0.1';

type Bench = Awaited<ReturnType<typeof makeOrganization>>;

const journalOf = (bench: Bench) =>
  new AuditJournal({ db: bench.ledger.db as unknown as Kysely<CommonTables>, name: bench.organization.id });

describe.each(databaseRigs)('administrators on $name', ({ start }) => {
  let rig: StartedRig;
  let city: Bench;
  let university: Bench;
  let given: Credentials;
  beforeAll(async () => {
    rig = await start();
    city = await makeOrganization(rig, 'city');
    university = await makeOrganization(rig, 'university');
    given = await make(city, 'taro', ['organization-admin']);
  });
  afterAll(async () => {
    await city.databases.stop();
    await university.databases.stop();
    await rig.stop();
  });

  const make = async (
    bench: Bench,
    id: string,
    roles: readonly ['organization-admin' | 'operator' | 'facilities-admin'],
    more = {},
  ) =>
    (
      await bench.administrators.create(
        { id, name: '山田太郎', roles, sites: [], breakGlass: false, ...more },
        commissioner,
      )
    ).credentials;
  const enter = (bench: Bench, administrator: string, { password, oneTimePasswordAddress }: Credentials) => {
    bench.clock.advance(30_000);
    const oneTimePassword = oneTimePasswordAddress && shownByApp(oneTimePasswordAddress, bench.clock.utcMs());
    return bench.signIn.signIn(
      { administrator, password, ...(oneTimePassword && { oneTimePassword }) },
      peer,
    );
  };
  const tokenOf = async (bench: Bench, administrator: string, credentials: Credentials) => {
    const outcome = await enter(bench, administrator, credentials);
    if (outcome.kind !== 'signed-in') throw new Error(outcome.kind);
    return outcome.token;
  };

  it('sign in with password and one-time password, and are then known by their token', async () => {
    const token = await tokenOf(city, 'taro', given);
    const principal = await city.principals.find(token);
    expect(principal?.actor).toEqual({ id: 'taro', via: 'session' });
    expect(principal?.scopes.has('administrators:write')).toBe(true);
    expect(principal?.groups).toBeUndefined();
  });

  it('are not known to another organization', async () => {
    const token = await tokenOf(city, 'taro', given);
    expect(await university.principals.find(token)).toBeUndefined();
    expect(await enter(university, 'taro', given)).toEqual({ kind: 'refused' });
  });

  it.each([
    ['a wrong password', { password: 'wrong-password-wrong' }, true],
    ['no one-time password', {}, false],
    ['one of another moment', {}, true, 600_000],
  ])('are refused with %s', async (_, wrong, app, later = 0) => {
    const credentials = await make(city, `one${Object.keys(wrong).length}-${later}`, ['operator']);
    const [last] = (await city.administrators.list()).slice(-1);
    city.clock.advance(30_000);
    const shown = shownByApp(credentials.oneTimePasswordAddress, city.clock.utcMs() + later);
    const request = {
      ...{ administrator: last?.id ?? '', password: credentials.password },
      ...wrong,
      ...(app && { oneTimePassword: shown }),
    };
    const outcome = await city.signIn.signIn(request, peer);
    expect(outcome).toEqual({ kind: 'refused' });
  });

  it('use a one-time password once', async () => {
    city.clock.advance(30_000);
    const oneTimePassword = shownByApp(given.oneTimePasswordAddress, city.clock.utcMs());
    const request = { administrator: 'taro', password: given.password, oneTimePassword };
    const outcomes = await Promise.all([
      city.signIn.signIn(request, peer),
      city.signIn.signIn(request, peer),
    ]);
    expect(outcomes.map(({ kind }) => kind).sort()).toEqual(['refused', 'signed-in']);
    expect(await city.signIn.signIn(request, peer)).toEqual({ kind: 'refused' });
  });

  it('are locked out after five wrong one-time passwords, longer each time, and let in when it is over', async () => {
    const credentials = await make(city, 'hanako', ['operator']);
    const { password } = credentials;
    for (let tries = 0; tries < 5; tries += 1) {
      await city.signIn.signIn({ administrator: 'hanako', password, oneTimePassword: '000000' }, peer);
    }
    expect(city.alarms).toContainEqual({
      kind: 'account-locked',
      organization: 'city',
      administrator: 'hanako',
    });
    city.clock.advance(29_000);
    const shown = shownByApp(credentials.oneTimePasswordAddress, city.clock.utcMs());
    const early = { administrator: 'hanako', password, oneTimePassword: shown };
    expect(await city.signIn.signIn(early, peer)).toEqual({ kind: 'refused' });
    expect((await enter(city, 'hanako', credentials)).kind).toBe('signed-in');
  });

  it.each([false, true])(
    'are locked out by nobody who lacks their password (break-glass: %s)',
    async (breakGlass) => {
      const id = breakGlass ? 'sealed' : 'kikue';
      const credentials = await make(city, id, ['operator'], { breakGlass });
      for (let tries = 0; tries < 20; tries += 1) {
        await enter(city, id, { ...credentials, password: 'wrong-password-wrong' });
      }
      expect(city.alarms).toContainEqual({
        kind: 'passwords-tried',
        organization: 'city',
        administrator: id,
      });
      const journal = journalOf(city);
      const page = await journal.page({ before: Number.MAX_SAFE_INTEGER, limit: 30 });
      const own = page.filter(({ body }) => body.by === id && body.action === 'sign-in-refused');
      expect(own.map(({ body }) => body.tries)).toEqual([16, 8, 4, 2, 1]);
      expect((await enter(city, id, credentials)).kind).toBe('signed-in');
    },
  );

  it('sign in while somebody floods from one address, who is told to come later', async () => {
    const entropy = new SystemEntropy();
    const passwords = new Passwords({ cost: { logN: 14, r: 8, p: 1 }, entropy });
    const stored = await passwords.hash('right');
    // done as soon as it is its turn, however busy the machine is
    const cheap = await new Passwords({ cost: { logN: 4, r: 8, p: 1 }, entropy }).hash('right');
    const done: string[] = [];
    const flood = Array.from({ length: 40 }, async () => {
      const outcome = await passwords.check('wrong', stored, peer);
      done.push('flood');
      return outcome;
    });
    const others = ['10.0.0.2', '10.0.0.3'].map(async (from) => {
      const outcome = await passwords.check('right', cheap, from);
      done.push(from);
      return outcome;
    });
    expect(await Promise.all(others)).toEqual(['right', 'right']);
    const outcomes = await Promise.all(flood);
    expect(outcomes.filter((outcome) => outcome === 'busy')).toHaveLength(32);
    // before those that had waited longer; which of two under way ends first is up to the machine
    const turns = done.slice(32, 32 + 9).filter((who) => who !== 'flood');
    expect(turns.sort()).toEqual(['10.0.0.2', '10.0.0.3']);
    const room = Array.from({ length: 30 }, (_, at) => passwords.check('right', cheap, `10.0.1.${at}`));
    expect((await Promise.all(room)).filter((outcome) => outcome === 'right')).toHaveLength(18);
  });

  it.each([
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '::ffff:192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
    ['2001:db8:1::6', '2001:db8:1:0'],
    ['2001:db8::1:2:3:4:5', '2001:db8:0:1'],
    ['::1', '0:0:0:0'],
  ])('from %s are of %s', (address, expected) => {
    expect(peerOf(address)).toBe(expected);
  });

  it('gain nothing by trying many at once', async () => {
    const { password } = await make(city, 'jiro', ['operator']);
    const wrong = { administrator: 'jiro', password, oneTimePassword: '000000' };
    const outcomes = await Promise.all(
      Array.from({ length: 12 }, (_, at) => city.signIn.signIn(wrong, `10.0.0.${at}`)),
    );
    expect(outcomes.every(({ kind }) => kind === 'refused')).toBe(true);
    const row = await city.ledger.db
      .selectFrom('administrators')
      .select('failures')
      .where('administrator_id', '=', 'jiro')
      .executeTakeFirst();
    // the fifth try locks, so that no more are counted, and none is checked
    expect(row?.failures).toBe(5);
    expect(password).toHaveLength(23);
  });

  it('lose their sessions when they are switched off, and by time', async () => {
    const credentials = await make(city, 'saburo', ['operator']);
    const token = await tokenOf(city, 'saburo', credentials);
    const revision = (await city.administrators.list()).find(({ id }) => id === 'saburo')?.revision ?? 0;
    expect(
      await city.administrators.update('saburo', revision - 1, { enabled: false }, commissioner),
    ).toBeUndefined();
    expect(await city.principals.find(token)).toBeDefined();
    await city.administrators.update('saburo', revision, { enabled: false }, commissioner);
    expect(await city.principals.find(token)).toBeUndefined();
    expect(await enter(city, 'saburo', credentials)).toEqual({ kind: 'refused' });
    const idle = await tokenOf(city, 'taro', given);
    city.clock.advance(29 * 60_000);
    expect(await city.principals.find(idle)).toBeDefined();
    city.clock.advance(31 * 60_000);
    expect(await city.principals.find(idle)).toBeUndefined();
  });

  it('cannot leave the organization without anybody who administers it', async () => {
    const taro = (await city.administrators.list()).find(({ id }) => id === 'taro');
    const off = city.administrators.update('taro', taro?.revision ?? 0, { enabled: false }, commissioner);
    await expect(off).rejects.toMatchObject({ code: 'argument-invalid' });
    const operator = { roles: ['operator' as const] };
    await expect(
      city.administrators.update('taro', taro?.revision ?? 0, operator, commissioner),
    ).rejects.toMatchObject({ code: 'argument-invalid' });
  });

  it('reach by site what their sites have, and without a site nothing', async () => {
    const credentials = await make(city, 'shiro', ['facilities-admin'], { sites: ['annex'] });
    const token = await tokenOf(city, 'shiro', credentials);
    expect((await city.principals.find(token))?.groups).toEqual(new Set());
    await city.ledger.db
      .insertInto('sites')
      .values({ site_id: 'annex', name: '別館', groups: '["cleaning"]', terminals: '["lobby"]', revision: 1 })
      .execute();
    const principal = await city.principals.find(token);
    expect(principal?.groups).toEqual(new Set(['cleaning']));
    expect(principal?.terminals).toEqual(new Set(['lobby']));
    expect(principal?.scopes.has('rules:write')).toBe(false);
  });

  it('break the glass loudly', async () => {
    const credentials = await make(city, 'glass', ['organization-admin'], { breakGlass: true });
    expect(credentials.oneTimePasswordAddress).toBeUndefined();
    expect((await enter(city, 'glass', credentials)).kind).toBe('signed-in');
    expect(city.alarms).toContainEqual({
      kind: 'break-glass-used',
      organization: 'city',
      administrator: 'glass',
    });
    const journal = journalOf(city);
    const [entry] = await journal.page({ before: Number.MAX_SAFE_INTEGER, limit: 1 });
    expect(entry?.body.action).toBe('break-glass-signed-in');
  });

  it('make API tokens, which end by time or when they are revoked', async () => {
    const made = await city.principals.makeApiToken(
      { name: 'personnel system', scopes: ['imports:write'], days: 1 },
      commissioner,
    );
    expect((await city.principals.find(made.token))?.scopes).toEqual(new Set(['imports:write']));
    expect(await university.principals.find(made.token)).toBeUndefined();
    expect(await city.principals.revokeApiToken(made.apiToken.id, commissioner)).toBe(true);
    expect(await city.principals.find(made.token)).toBeUndefined();
    const other = await city.principals.makeApiToken({ name: 'short', scopes: [], days: 1 }, commissioner);
    city.clock.advance(86_400_000);
    expect(await city.principals.find(other.token)).toBeUndefined();
  });

  it('lose the API tokens they have made, and those made with these, with the right to make any', async () => {
    await make(city, 'goro', ['organization-admin']);
    const goro = { id: 'goro', via: 'session' } as const;
    const request = { name: 'x', scopes: ['administrators:write' as const], days: 300 };
    const first = await city.principals.makeApiToken(request, goro);
    const actor = (await city.principals.find(first.token))?.actor ?? goro;
    const second = await city.principals.makeApiToken(request, actor);
    const other = await city.principals.makeApiToken(request, commissioner);
    const known = async () =>
      Promise.all(
        [first, second, other].map(async ({ token }) => (await city.principals.find(token)) !== undefined),
      );
    const revision = async () =>
      (await city.administrators.list()).find(({ id }) => id === 'goro')?.revision ?? 0;
    await city.administrators.update('goro', await revision(), { name: '五郎' }, commissioner);
    expect(await known()).toEqual([true, true, true]);
    await city.administrators.update('goro', await revision(), { roles: ['auditor'] }, commissioner);
    expect(await known()).toEqual([false, false, true]);
    const journal = journalOf(city);
    const [entry] = await journal.page({ before: Number.MAX_SAFE_INTEGER, limit: 1 });
    expect(entry?.body.revokedTokens).toEqual([first.apiToken.id, second.apiToken.id].sort());
  });

  it('revoke with an API token those that were made with it', async () => {
    const request = { name: 'x', scopes: ['administrators:write' as const], days: 300 };
    const first = await city.principals.makeApiToken(request, commissioner);
    const actor = (await city.principals.find(first.token))?.actor ?? commissioner;
    const second = await city.principals.makeApiToken(request, actor);
    await city.principals.revokeApiToken(first.apiToken.id, commissioner);
    expect(await city.principals.find(second.token)).toBeUndefined();
  });

  it('leave no secret in the database', async () => {
    const token = await tokenOf(city, 'taro', given);
    const tables = ['administrators', 'sessions', 'api_tokens', 'audit', 'audit_personal'];
    for (const table of tables) {
      const { rows } = await sql`select * from ${sql.table(table)}`.execute(city.ledger.db);
      const text = JSON.stringify(rows, (_, value) =>
        value?.type === 'Buffer' ? Buffer.from(value.data).toString('latin1') : value,
      );
      expect(text).not.toContain(token);
      expect(text).not.toContain(given.password);
      expect(text).not.toContain(new URL(given.oneTimePasswordAddress ?? '').searchParams.get('secret'));
    }
  });

  describe('the audit journal', () => {
    const sealingWith = (signing: Signing, folder: string, heads = 'heads.json') => ({
      signing,
      clock: city.clock,
      heads: new SealedHeadsFile(join(folder, heads)),
    });

    it('is not signed where somebody wrote it anew, whatever he did to its checkpoints', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'kazasu-key-'));
      const signing = await openDeviceKey(folder);
      const town = await makeOrganization(rig, 'town');
      const { db } = town.ledger;
      const act = (bench: Bench, name: string) =>
        bench.principals.makeApiToken({ name, scopes: [], days: 1 }, commissioner);
      await act(town, 'first');
      const elsewhere = await start();
      const forged = await makeOrganization(elsewhere, 'town');
      for (const name of ['another', 'and another']) await act(forged, name);
      expect(await journalOf(town).seal(sealingWith(signing, folder))).toBe(true);
      await act(town, 'second');
      const rows = {
        audit: await forged.ledger.db.selectFrom('audit').selectAll().execute(),
        state: await forged.ledger.db.selectFrom('server_state').selectAll().executeTakeFirstOrThrow(),
      };
      await forged.databases.stop();
      await elsewhere.stop();
      for (const table of ['audit', 'audit_personal', 'audit_checkpoints'] as const) {
        await db.deleteFrom(table).execute();
      }
      await db.insertInto('audit').values(rows.audit).execute();
      await db.updateTable('server_state').set(rows.state).execute();
      // also after a restart, and with a checkpoint of his own making
      await db
        .insertInto('audit_checkpoints')
        .values({
          sequence: rows.state.audit_sequence,
          raw: Buffer.from('{}'),
          signature: new Uint8Array(64),
        })
        .execute();
      await expect(journalOf(town).seal(sealingWith(signing, folder))).rejects.toMatchObject({
        code: 'journal-broken',
      });
      // one cut off, or whose entries do not follow one another, is not signed either
      await db.deleteFrom('audit').where('sequence', '=', 1).execute();
      await expect(journalOf(town).seal(sealingWith(signing, folder, 'none.json'))).rejects.toMatchObject({
        code: 'journal-broken',
      });
      await town.databases.stop();
      rmSync(folder, { recursive: true });
    });

    it('replaces a checkpoint that its key has not signed', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'kazasu-key-'));
      const signing = await openDeviceKey(folder);
      const { db } = university.ledger;
      await make(university, 'taro', ['organization-admin']);
      const { audit_sequence: sequence } = await db
        .selectFrom('server_state')
        .selectAll()
        .executeTakeFirstOrThrow();
      await db
        .insertInto('audit_checkpoints')
        .values({ sequence, raw: Buffer.from('{}'), signature: new Uint8Array(64) })
        .execute();
      expect(await journalOf(university).seal(sealingWith(signing, folder))).toBe(true);
      expect((await journalOf(university).verify([signing.publicKey()])).sound).toBe(true);
      rmSync(folder, { recursive: true });
    });

    it('verifies, and names what was changed, cut off or taken out', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'kazasu-key-'));
      const signing = await openDeviceKey(folder);
      const sealing = sealingWith(signing, folder);
      expect(await journalOf(city).seal(sealing)).toBe(true);
      expect(await journalOf(city).seal(sealing)).toBe(false);
      const keys = [signing.publicKey()];
      const report = await journalOf(city).verify(keys);
      expect(report.findings).toEqual([]);
      expect(report.entries).toBeGreaterThan(20);
      expect(report.chains[0]?.segments[0]?.signedThrough).toBe(report.entries);
      const { db } = city.ledger;
      const third = await db
        .selectFrom('audit')
        .selectAll()
        .where('sequence', '=', 3)
        .executeTakeFirstOrThrow();
      const altered = Buffer.from(Buffer.from(third.raw).toString().replace('"by":"', '"by":"x'));
      await db.updateTable('audit').set({ raw: altered }).where('sequence', '=', 3).execute();
      expect((await journalOf(city).verify(keys)).findings).toMatchObject([
        { kind: 'entry-changed', fromSequence: 3 },
      ]);
      await db.deleteFrom('audit').where('sequence', '=', 3).execute();
      expect((await journalOf(city).verify(keys)).findings[0]).toMatchObject({
        kind: 'entries-missing',
        fromSequence: 3,
      });
      await db.insertInto('audit').values(third).execute();
      expect((await journalOf(city).verify(keys)).sound).toBe(true);
      await db.deleteFrom('audit').where('sequence', '>', 10).execute();
      expect((await journalOf(city).verify([])).findings.map(({ kind }) => kind)).toContain('end-missing');
      rmSync(folder, { recursive: true });
    });
  });
});
