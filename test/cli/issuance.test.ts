import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseIssuanceConfig } from '#issuance/config.ts';
import { rulesDocument, shownByApp } from '../issuance/organization-bench.ts';
import { kazasu, refusal } from './kazasu.ts';

const root = resolve(import.meta.dirname, '../..');

describe('issuance', () => {
  let folder: string;
  let config: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'kazasu-issuance-'));
    config = join(folder, 'issuance.yaml');
    writeFileSync(config, `formatVersion: 1\nstateDirectory: ${join(folder, 'state')}\nhttp: { port: 0 }\n`);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  /** Runs the server and says where it listens. */
  const run = async () => {
    const words = [join(root, 'src/cli/main.ts'), 'issuance', 'run', '--config', config];
    const server = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'] });
    for await (const line of createInterface(server.stdout)) {
      const { msg, url } = JSON.parse(line) as { msg: string; url: string };
      if (msg === 'ready') return { server, url };
    }
    throw new Error('the server ended before it was ready');
  };
  const inJson = async (...words: string[]) => {
    const { code, out, err } = await kazasu('issuance', ...words, '--config', config, '--json');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    return JSON.parse(out);
  };

  it('is set up by the command line, serves, ends when told, and its record verifies', async () => {
    await inJson('organization', 'city', '--name', '市役所');
    const first = await inJson('administrator', 'taro', '--organization', 'city');
    const { server, url } = await run();
    const session = await fetch(`${url}/api/v1/organizations/city/session`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        administrator: 'taro',
        password: first.password,
        oneTimePassword: shownByApp(first.oneTimePasswordAddress, Date.now()),
      }),
    });
    expect(session.status).toBe(201);
    const { token } = (await session.json()) as { token: string };
    const who = await fetch(`${url}/api/v1/organizations/city/session`, {
      headers: { authorization: `Bearer ${token}` },
    });
    expect(await who.json()).toMatchObject({ id: 'taro' });
    await takesLists(`${url}/api/v1/organizations/city`, token);
    // beside the server that runs
    await inJson('organization', 'university');
    server.kill('SIGTERM');
    expect((await once(server, 'exit'))[0]).toBe(0);
    const { journals } = await inJson('audit');
    expect(journals.map(({ journal }: { journal: string }) => journal)).toEqual([
      'platform',
      'city',
      'university',
    ]);
    for (const { report } of journals) expect(report.sound).toBe(true);
    expect(journals[1].report.chains[0].segments[0].signedThrough).toBe(journals[1].report.entries);
  });

  /** Sends a list to the server that runs, decides it and reads it back. */
  const takesLists = async (url: string, token: string) => {
    const call = async (method: string, path: string, type = 'application/json', body?: string) => {
      const headers = {
        authorization: `Bearer ${token}`,
        ...(body !== undefined && { 'content-type': type }),
      };
      return fetch(`${url}${path}`, { method, headers, ...(body !== undefined && { body }) });
    };
    const until = async (path: string, state: string) => {
      for (;;) {
        const found = (await (await call('GET', path)).json()) as { state: string };
        if (found.state === state) return found;
        if (found.state === 'refused') throw new Error(JSON.stringify(found));
      }
    };
    const rules = await call('POST', '/rules', undefined, JSON.stringify({ document: rulesDocument }));
    expect(rules.status).toBe(200);
    const list = 'user_number,holder,groups\nUSER0001,hanako,staff\n';
    expect((await call('POST', '/lists?mode=complete', undefined, '{}')).status).toBe(400);
    const sent = await call('POST', '/lists?mode=complete', 'text/csv', list);
    expect(sent.status).toBe(202);
    const { id } = (await sent.json()) as { id: string };
    expect(await until(`/lists/${id}`, 'ready')).toMatchObject({ lines: 1, preview: { added: 1 } });
    expect((await call('POST', `/lists/${id}/apply`, undefined, '{}')).status).toBe(204);
    await until(`/change-sets/${id}`, 'applied');
    const out = await call('GET', '/holder-list');
    expect(out.headers.get('content-type')).toBe('text/csv; charset=utf-8');
    expect(await out.text()).toContain('\nUSER0001,type-a,hanako,active,,,staff,active,,\n');
  };

  it('keeps what it stores from other accounts of the machine', () => {
    const state = join(folder, 'state');
    expect(statSync(state).mode & 0o077).toBe(0);
    for (const name of ['one-time-passwords.key', 'device-key.p8']) {
      expect(statSync(join(state, name)).mode & 0o077).toBe(0);
    }
    expect(existsSync(join(state, 'databases/organizations/city/permissions.sqlite'))).toBe(true);
  });

  it('says which entries of the record were changed', async () => {
    const file = join(folder, 'state/databases/organizations/city/permissions.sqlite');
    const db = new Database(file);
    db.prepare("UPDATE audit SET raw = cast(replace(cast(raw AS TEXT), 'taro', 'jiro') AS BLOB)").run();
    db.close();
    const { code, out, err } = await kazasu(
      'issuance',
      'audit',
      '--config',
      config,
      '--organization',
      'city',
    );
    expect(code).toBe(1);
    expect(out).toMatch(/entry \d+ does not have the hash stored with it/);
    expect(err).toContain('journal-broken');
  });

  it.each([
    ['an organization twice', ['organization', 'city'], 'already'],
    ['an id that is too long', ['organization', 'x'.repeat(33)], '1 to 32 lower-case letters'],
    ['an id that leaves its folder', ['organization', '../x'], '1 to 32 lower-case letters'],
    ['an administrator of nowhere', ['administrator', 'a', '--organization', 'nowhere'], 'no organization'],
    ['an administrator twice', ['administrator', 'taro', '--organization', 'city'], 'already'],
    [
      'to renew what is not there',
      ['administrator', 'x', '--organization', 'city', '--renew'],
      'no administrator',
    ],
  ])('refuses %s', async (_, words, text) => {
    expect(await refusal('issuance', ...words, '--config', config)).toContain(text);
  });

  it('refuses a configuration with everything wrong with it', async () => {
    const file = join(folder, 'wrong.yaml');
    writeFileSync(file, 'formatVersion: 1\nstateDirectory: here\nhttp: { host: 0.0.0.0 }\nmore: 1\n');
    const said = await refusal('issuance', 'run', '--config', file);
    for (const line of [':2:', ':3:', ':4:', 'without it the server listens on this machine alone']) {
      expect(said).toContain(line);
    }
  });

  it('has a configuration to begin with', () => {
    const file = join(root, 'device-config/issuance/issuance.yaml');
    expect(parseIssuanceConfig(readFileSync(file, 'utf8'), file).database).toEqual({ kind: 'sqlite' });
  });
});
