import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readCertificatePem } from '#adapters/x509/pem.ts';
import { fromBase64 } from '#core/bytes/base64.ts';
import { enrolmentFileSchema } from '#core/sync/enrolment.ts';
import { decodeSigned } from '#core/sync/signed.ts';
import { pinTrustRoot } from '#core/sync/trust.ts';
import { kazasu, refusal } from './kazasu.ts';

let folder: string;
const at = (name: string): string => join(folder, name);
const trust = async (...words: readonly string[]) => {
  const { code, out, err } = await kazasu('issuance', 'trust', ...words);
  if (err !== '') throw new Error(err);
  return { code, out };
};

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'kazasu-trust-'));
  const keys = ['root1', 'root2', 'policy', 'command', 'later', 'platform', 'city', 'server'];
  await Promise.all(keys.map((key) => trust('key', at(key))));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('the ceremony on the command line', () => {
  it('makes keys for their owner alone, and none in the place of another', async () => {
    expect(statSync(at('root1')).mode & 0o777).toBe(0o600);
    expect(readFileSync(at('root1.pub.pem'), 'utf8')).toContain('BEGIN PUBLIC KEY');
    expect(await refusal('issuance', 'trust', 'key', at('root1'))).toContain('key-refused');
  });

  it('delegates to an organization, and names a server', async () => {
    await trust(
      'certify',
      'platform',
      '--key',
      at('platform'),
      '--name',
      'Test',
      '--out',
      at('platform.pem'),
    );
    const below = ['--by', at('platform.pem'), '--key', at('platform')];
    const city = ['--organization', 'city', '--public-key', at('city.pub.pem'), '--out', at('city.pem')];
    await trust('certify', 'organization', ...below, ...city);
    const server = [
      '--host',
      'door.example',
      '--public-key',
      at('server.pub.pem'),
      '--out',
      at('server.pem'),
    ];
    await trust('certify', 'server', ...below, ...server);
    for (const [file, subject] of [
      ['city.pem', 'O=city'],
      ['server.pem', 'CN=door.example'],
    ] as const) {
      const [own, above] = readCertificatePem(readFileSync(at(file), 'utf8')).map(
        (der) => new X509Certificate(der),
      );
      expect(own?.subject).toBe(subject);
      expect(above && own?.verify(above.publicKey)).toBe(true);
    }
    const wrong = ['--organization', 'City', '--public-key', at('city.pub.pem'), '--out', at('x.pem')];
    expect(await refusal('issuance', 'trust', 'certify', 'organization', ...below, ...wrong)).toContain(
      'lower-case',
    );
    expect(
      await refusal('issuance', 'trust', 'certify', 'anything', ...below, '--out', at('x.pem')),
    ).toContain('none of');
  });

  it('drafts a root, signs it, and replaces a key by the next', async () => {
    const first = ['--organization', 'city', '--authority', at('platform.pem'), '--out', at('root-1')];
    const keys = [
      '--root-key',
      at('root1.pub.pem'),
      '--root-key',
      at('root2.pub.pem'),
      '--root-threshold',
      '2',
    ];
    const delegated = ['--policy-key', at('policy.pub.pem'), '--command-key', at('command.pub.pem')];
    await trust('root', ...first, ...keys, ...delegated);
    expect((await trust('sign', at('root-1'), '--key', at('root1'))).out).toContain('not complete');
    expect((await trust('sign', at('root-1'), '--key', at('root2'))).out).toContain(
      'complete as a first root',
    );
    await trust('root', '--after', at('root-1'), '--policy-key', at('later.pub.pem'), '--out', at('root-2'));
    expect((await trust('check', at('root-2'), '--after', at('root-1'))).code).toBe(1);
    await trust('sign', at('root-2'), '--key', at('root1'));
    await trust('sign', at('root-2'), '--key', at('root2'));
    const checked = await trust('check', at('root-2'), '--after', at('root-1'));
    expect(checked.code).toBe(0);
    expect(checked.out).toContain('terminals follow it');
    expect(checked.out).toContain('version 2');
    expect(await refusal('issuance', 'trust', 'check', at('platform.pem'))).toContain('no root of trust');
  });

  it('prepares the enrolment of a terminal, which its device takes, and shuts it out', async () => {
    writeFileSync(at('issuance.yaml'), `formatVersion: 1\nstateDirectory: ${at('state')}\n`);
    const server = ['--config', at('issuance.yaml')];
    await kazasu('issuance', 'organization', 'city', ...server);
    const place = [...server, '--organization', 'city'];
    const trusted = ['--authority', at('platform.pem'), '--server', 'https://localhost:1'];
    const file = ['--root', at('root-1'), '--out', at('enrolment.json')];
    const prepared = await kazasu('issuance', 'terminal', 'prepare', 'lobby', ...place, ...trusted, ...file);
    expect(prepared).toMatchObject({ code: 0, err: '' });
    expect(statSync(at('enrolment.json')).mode & 0o777).toBe(0o600);
    const enrolment = enrolmentFileSchema.parse(JSON.parse(readFileSync(at('enrolment.json'), 'utf8')));
    expect(enrolment).toMatchObject({
      organization: 'city',
      terminal: 'lobby',
      servers: ['https://localhost:1'],
    });
    const draft = ['--root', at('draft'), '--out', at('x.json')];
    await trust('root', '--after', at('root-1'), '--out', at('draft'));
    const unsigned = refusal('issuance', 'terminal', 'prepare', 'lobby', ...place, ...trusted, ...draft);
    expect(await unsigned).toContain('no root of city');
    expect((await kazasu('issuance', 'terminal', 'list', ...place)).out).toContain('lobby\twaiting');

    const lobby = readFileSync('device-config/terminals/lobby.yaml', 'utf8');
    const profiles = join(process.cwd(), 'device-config/card-profiles');
    const config = lobby.replaceAll('../card-profiles', profiles);
    writeFileSync(
      at('lobby.yaml'),
      `${config.replace(/^stateDirectory:.*$/m, '')}\nstateDirectory: ${at('device')}\n`,
    );
    const enrol = ['terminal', 'enrol', '--config', at('lobby.yaml'), '--file', at('enrolment.json')];
    expect(await refusal(...enrol)).toContain('server-unreachable');
    expect(await refusal('issuance', 'terminal', 'shut', 'vault', ...place)).toContain('no terminal vault');
    expect((await kazasu('issuance', 'terminal', 'shut', 'lobby', ...place)).code).toBe(0);
  });

  it('prepares a terminal on keys of its own where none are kept elsewhere, and none where they are', async () => {
    const state = at('embedded');
    writeFileSync(
      at('embedded.yaml'),
      `formatVersion: 1\nstateDirectory: ${state}\nterminals: { hosts: [gate.example] }\n`,
    );
    const server = ['--config', at('embedded.yaml')];
    const place = [...server, '--organization', 'city'];
    const prepare = (out: string) => ['issuance', 'terminal', 'prepare', 'gate', ...place, '--out', at(out)];
    await kazasu('issuance', 'organization', 'city', ...server);
    const keys = ['root', 'policy', 'command'].map((role) =>
      join(state, 'authorities/trust/city', `${role}.key`),
    );
    for (const key of keys) expect(statSync(key).mode & 0o777).toBe(0o600);
    expect(await kazasu(...prepare('gate.json'))).toMatchObject({ code: 0, err: '' });
    const enrolment = enrolmentFileSchema.parse(JSON.parse(readFileSync(at('gate.json'), 'utf8')));
    expect(enrolment.servers).toEqual(['https://gate.example:8444']);
    const root = decodeSigned(fromBase64(enrolment.trustRoot) ?? new Uint8Array());
    expect(root.kind === 'accepted' && pinTrustRoot(root.value)).toMatchObject({
      kind: 'accepted',
      value: { organization: 'city', version: 1 },
    });

    const places = ['issuance', 'terminal', 'places', 'gate', ...place, '--door', 'front', '--zone', 'hall'];
    expect(await kazasu(...places)).toMatchObject({ code: 0, out: 'gate: front, hall\n' });
    expect(await refusal(...places, '--door', 'a b')).toContain('argument-invalid');

    rmSync(join(state, 'authorities/trust'), { recursive: true });
    rmSync(join(state, 'authorities/platform.key'));
    expect(await refusal(...prepare('other.json'))).toContain('no root of trust');
  });
});
