import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { fastify } from 'fastify';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { peerOf } from '#adapters/broker/peer.ts';
import { HttpsIssuanceClient } from '#adapters/https/issuance-client.ts';
import { IdentityFiles } from '#adapters/keyfile/identity-files.ts';
import { TrustFile } from '#adapters/keyfile/trust-file.ts';
import { SystemClock } from '#adapters/os/clock.ts';
import { SystemEntropy } from '#adapters/os/entropy.ts';
import { SqliteDatabases } from '#adapters/sqlite/issuance-databases.ts';
import { makeCertificateKey, readCertificateRequest } from '#adapters/x509/certificate-request.ts';
import { fromBase64, toBase64 } from '#core/bytes/base64.ts';
import { Fault } from '#core/fault.ts';
import type { DeviceIdentity } from '#core/sync/device-identity.ts';
import { type EnrolmentFile, enrolmentFileSchema } from '#core/sync/enrolment.ts';
import { encodeSigned, signDocument } from '#core/sync/signed.ts';
import { trustRootBytes } from '#core/sync/trust.ts';
import { Organizations } from '#issuance/organizations/organizations.ts';
import { Databases } from '#issuance/storage/databases.ts';
import { Admission } from '#issuance/terminals/admission.ts';
import { TerminalCertificates } from '#issuance/terminals/terminal-certificates.ts';
import { TerminalRegister } from '#issuance/terminals/terminal-register.ts';
import { addTerminalRoutes } from '#issuance/terminals/terminal-routes.ts';
import { Terminals } from '#issuance/terminals/terminals.ts';
import type { IdentityStore } from '#ports/identity-store.ts';
import type { IssuanceClient } from '#ports/issuance-client.ts';
import type { TrustStore } from '#ports/trust-store.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';
import { CertificateRenewal } from '#terminal/certificate-renewal.ts';
import { Enrolment } from '#terminal/enrolment.ts';
import { TestKey } from '../trust/test-key.ts';
import { makePki, organizationPki, type TestPki } from '../trust/test-pki.ts';

const admin = { id: 'commissioner', via: 'command-line' } as const;
const day = 86_400_000;
const place = { organization: 'city', terminal: 'lobby' };

/** A real server for enrolment, over TLS, with its database. */
async function openServer(pki: TestPki, certificates = pki.server) {
  const directory = mkdtempSync(join(tmpdir(), 'kazasu-enrolment-'));
  const [clock, entropy] = [new SystemClock(), new SystemEntropy()];
  const databases = new Databases({ source: new SqliteDatabases({ directory }) });
  const organizations = new Organizations({ databases, clock, entropy });
  const ledger = await organizations.ledger(await organizations.create({ id: 'city', name: '市' }, admin));
  const { authority } = organizationPki(pki, 'city');
  const admission = new Admission({ shut: () => undefined });
  const shared = { organization: 'city', ledger, clock, entropy };
  const terminals = new Terminals({
    organization: 'city',
    ledger,
    clock,
    admission,
    mayDate: () => true,
    certificates: new TerminalCertificates({ ...shared, authority, readRequest: readCertificateRequest }),
  });
  const { certificates: cert, privateKey: key } = certificates;
  const https = {
    cert,
    key,
    ca: pki.authorities,
    requestCert: true,
    rejectUnauthorized: false,
    minVersion: 'TLSv1.3',
  } as const;
  const register = new TerminalRegister({ ledger, clock, entropy });
  const app = fastify<Server>({ https });
  addTerminalRoutes(app as never, {
    terminals: async (organization) => (organization === 'city' ? terminals : undefined),
    peer: (request) => {
      const peer = peerOf(request.raw.socket as TLSSocket);
      return peer?.kind === 'terminal' ? peer : undefined;
    },
    admission,
    brokers: [{ host: 'localhost', port: 8_883 }],
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  const address = app.server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const close = async () => {
    await app.close();
    await databases.stop();
    rmSync(directory, { recursive: true });
  };
  return { register, ledger, url: `https://localhost:${port}`, close };
}

async function trustRoot(organization: string, authority: Uint8Array): Promise<string> {
  const [root, policy, command] = [new TestKey(), new TestKey(), new TestKey()];
  const role = (key: TestKey) => ({ threshold: 1, keys: [key.publicKey()] });
  const raw = trustRootBytes({
    organization,
    version: 1,
    issuedAtMs: 1,
    roles: { root: role(root), policy: role(policy), command: role(command) },
    authorities: [authority],
  });
  return toBase64(encodeSigned(await signDocument(raw, [root])));
}

describe('enrolment of a device', () => {
  let pki: TestPki;
  let server: Awaited<ReturnType<typeof openServer>>;
  let directory: string;
  const deviceKey = new TestKey();

  beforeEach(async () => {
    pki = await makePki();
    server = await openServer(pki);
    directory = mkdtempSync(join(tmpdir(), 'kazasu-device-'));
  });
  afterEach(async () => {
    await server.close();
    rmSync(directory, { recursive: true });
  });

  async function enrolmentFile(more: Partial<EnrolmentFile> = {}): Promise<EnrolmentFile> {
    const { secret, expiresAtMs } = await server.register.prepareEnrolment(
      { terminal: 'lobby', name: '' },
      admin,
    );
    const authority = pki.platform.chain()[0];
    return enrolmentFileSchema.parse({
      type: 'enrolment',
      format: 1,
      ...place,
      servers: [server.url],
      authority: toBase64(authority),
      trustRoot: await trustRoot('city', authority),
      secret,
      expiresAtMs,
      ...more,
    });
  }

  interface Doubles {
    readonly store?: IdentityStore;
    readonly trust?: Pick<TrustStore, 'save'>;
    readonly client?: IssuanceClient;
    readonly deviceKey?: TestKey;
  }
  const device = (doubles: Doubles = {}) =>
    new Enrolment({
      store: new IdentityFiles(join(directory, 'identity')),
      trust: trustFile(),
      client: new HttpsIssuanceClient(),
      makeKey: makeCertificateKey,
      deviceKey,
      ...doubles,
    });
  const trustFile = () => new TrustFile({ file: join(directory, 'identity/trust-roots.json') });
  const certificates = () => server.ledger.db.selectFrom('certificates').selectAll().execute();

  it('makes it a terminal, which only its owner can read of', async () => {
    const identity = await device().enrol(await enrolmentFile());
    expect(identity).toMatchObject({ ...place, brokers: [{ host: 'localhost', port: 8_883 }] });
    const files = new IdentityFiles(join(directory, 'identity'));
    expect(await files.identity()).toEqual(identity);
    expect(statSync(join(directory, 'identity/identity.json')).mode & 0o777).toBe(0o600);
    expect(existsSync(join(directory, 'identity/identity-pending.json'))).toBe(false);
  });

  it('is done once: by this device again, by no other, and not over what it is', async () => {
    const file = await enrolmentFile();
    await device().enrol(file);
    await expect(device().enrol(file)).rejects.toMatchObject({ code: 'enrolment-refused' });
    await expect(device().enrol(await enrolmentFile())).rejects.toMatchObject({ code: 'enrolment-refused' });
    rmSync(join(directory, 'identity'), { recursive: true });
    await expect(device({ deviceKey: new TestKey() }).enrol(file)).rejects.toMatchObject({
      code: 'enrolment-refused',
    });
    expect(await certificates()).toHaveLength(1);
  });

  /** A device that loses power at the `step`-th of its steps, before it or after it. */
  function dying(step: number, after: boolean): Doubles {
    const files = new IdentityFiles(join(directory, 'identity'));
    const client = new HttpsIssuanceClient();
    let count = 0;
    const turn = async <T>(action: () => Promise<T>): Promise<T> => {
      count += 1;
      if (count === step && !after) throw new Error('power cut');
      const result = await action();
      if (count === step) throw new Error('power cut');
      return result;
    };
    return {
      store: {
        identity: () => turn(() => files.identity()),
        saveIdentity: (identity) => turn(() => files.saveIdentity(identity)),
        pending: () => turn(() => files.pending()),
        savePending: (pending) => turn(() => files.savePending(pending)),
        dropPending: () => turn(() => files.dropPending()),
      },
      trust: { save: (roots) => turn(() => trustFile().save(roots)) },
      client: {
        enrol: (file, request) => turn(() => client.enrol(file, request)),
        renew: (identity, request) => turn(() => client.renew(identity, request)),
      },
    };
  }

  /** As if all certificates were made 200 days before: half of their life is over. */
  const age = () =>
    server.ledger.db
      .updateTable('certificates')
      .set((row) => ({
        not_before_ms: row('not_before_ms', '-', 200 * day),
        not_after_ms: row('not_after_ms', '-', 200 * day),
      }))
      .where('not_before_ms', '>', Date.now() - day)
      .execute();

  const steps = [1, 2, 3, 4, 5, 6, 7].flatMap((step) => [false, true].map((after) => ({ step, after })));

  it.each(steps)(
    'goes on after a crash (step $step, after it: $after) with one certificate',
    async ({ step, after }) => {
      const file = await enrolmentFile();
      await expect(device(dying(step, after)).enrol(file)).rejects.toThrow('power cut');
      const files = new IdentityFiles(join(directory, 'identity'));
      const done = step === 7 && after;
      const identity = done ? await files.identity() : await device().enrol(file);
      expect(await files.identity()).toEqual(identity);
      expect(await trustFile().load()).toEqual([fromBase64(file.trustRoot)]);
      expect(await files.pending()).toBeUndefined();
      expect(await certificates()).toHaveLength(1);
    },
  );

  it.each([1, 2, 3, 4, 5].flatMap((step) => [false, true].map((after) => ({ step, after }))))(
    'renews after a crash (step $step, after it: $after), and never loses what it has',
    async ({ step, after }) => {
      const identity = await device().enrol(await enrolmentFile());
      await age();
      const crashed = device(dying(step, after)).renew(identity);
      const files = new IdentityFiles(join(directory, 'identity'));
      if (step < 5 || !after) await expect(crashed).rejects.toThrow('power cut');
      else await crashed.catch(() => undefined);
      const present = await files.identity();
      if (!present) throw new Error('the identity is lost');
      await age();
      const renewed = await device().renew(present);
      expect(renewed.privateKey).not.toBe(identity.privateKey);
      expect(await files.identity()).toEqual(renewed);
      expect((await certificates()).length).toBeLessThanOrEqual(3);
    },
  );

  it('believes nobody whom it believed as another terminal, and after a renewal whom it believed by then', async () => {
    const before = new Uint8Array([1, 2, 3]);
    mkdirSync(join(directory, 'identity'));
    await trustFile().save([before]);
    const file = await enrolmentFile();
    await expect(device(dying(5, true)).enrol(file)).rejects.toThrow('power cut');
    expect(await new IdentityFiles(join(directory, 'identity')).identity()).toBeUndefined();
    const identity = await device().enrol(file);
    expect(await trustFile().load()).toEqual([fromBase64(file.trustRoot)]);
    const followed = new Uint8Array([4, 5, 6]);
    await trustFile().save([followed]);
    await age();
    await device().renew(identity);
    expect(await trustFile().load()).toEqual([followed]);
  });

  it('tells no secret to a server that is not of the authority of the file', async () => {
    const file = await enrolmentFile();
    const other = await makePki();
    const impostor = await openServer(pki, other.server);
    const asked = device().enrol({ ...file, servers: [impostor.url] });
    await expect(asked).rejects.toMatchObject({ code: 'server-untrusted' });
    await impostor.close();
    // the same file serves once the right one answers
    await device().enrol(file);
  });

  it('asks the next server where one is away, and says so where all are', async () => {
    const file = await enrolmentFile();
    const nobody = 'https://localhost:1';
    await expect(device().enrol({ ...file, servers: [nobody] })).rejects.toMatchObject({
      code: 'server-unreachable',
    });
    await device().enrol({ ...file, servers: [nobody, server.url] });
  });

  it('refuses a file whose root of trust is another’s, changed, or none', async () => {
    const authority = pki.platform.chain()[0];
    const own = await trustRoot('city', authority);
    for (const wrong of [
      await trustRoot('ward', authority),
      own.replace('A', 'B'),
      '',
      toBase64(new Uint8Array(9)),
    ]) {
      await expect(device().enrol(await enrolmentFile({ trustRoot: wrong }))).rejects.toMatchObject({
        code: 'enrolment-refused',
      });
    }
    expect(await certificates()).toEqual([]);
  });

  it('refuses an answer that is not for this terminal and its key', async () => {
    const good = new HttpsIssuanceClient();
    const file = await enrolmentFile();
    const { authority } = organizationPki(pki, 'city');
    const answers: ((identity: string[]) => string[])[] = [
      (chain) => chain.slice(1),
      (chain) => chain.toReversed(),
      (chain) => [...chain.slice(0, -1), toBase64(organizationPki(pki, 'ward').authority.chain()[0])],
      () => [toBase64(authority.chain()[0]), toBase64(authority.chain()[1] ?? new Uint8Array())],
    ];
    for (const change of answers) {
      const client: IssuanceClient = {
        enrol: async (asked, request) => {
          const reply = await good.enrol(asked, request);
          if (reply.kind === 'refused') return reply;
          return {
            kind: 'answered',
            answer: { ...reply.answer, certificates: change(reply.answer.certificates) },
          };
        },
        renew: (identity, request) => good.renew(identity, request),
      };
      await expect(device({ client }).enrol(file)).rejects.toMatchObject({ code: 'enrolment-refused' });
    }
    await device().enrol(file);
  });

  it('reads no identity that others may read, or that is damaged', async () => {
    await device().enrol(await enrolmentFile());
    const file = join(directory, 'identity/identity.json');
    const files = new IdentityFiles(join(directory, 'identity'));
    writeFileSync(file, '{', { mode: 0o600 });
    await expect(files.identity()).rejects.toMatchObject({ code: 'key-file-invalid' });
    rmSync(file);
    writeFileSync(file, '{}', { mode: 0o644 });
    await expect(files.identity()).rejects.toMatchObject({ code: 'key-file-invalid' });
  });
});

describe('renewal of a certificate', () => {
  const from = Date.parse('2026-01-01T00:00:00Z');
  const identity = { ...place, notBeforeMs: from, notAfterMs: from + 360 * day } as DeviceIdentity;

  it('comes in the last third of its life, and is tried again until it succeeds', async () => {
    const clock = new SimulatedClock({ utcMs: from });
    const asked: number[] = [];
    let working = false;
    const renewed: DeviceIdentity[] = [];
    const renewal = new CertificateRenewal(identity, {
      enrolment: {
        renew: async (present) => {
          asked.push((clock.utcMs() - from) / day);
          if (!working) throw new Fault('server-unreachable', 'away');
          return { ...present, notBeforeMs: clock.utcMs(), notAfterMs: clock.utcMs() + 360 * day };
        },
      },
      clock,
      random: () => 0.5,
      log: pino({ level: 'silent' }),
      renewed: (next) => renewed.push(next),
    });
    renewal.start();
    const turn = () => new Promise((resolve) => setImmediate(resolve));
    const pass = async (days: number) => {
      for (let hour = 0; hour < days * 24; hour += 1) {
        clock.advance(3_600_000);
        await turn();
      }
    };
    await pass(239);
    expect(asked).toEqual([]);
    await pass(3);
    expect(asked.length).toBeGreaterThan(20);
    expect(asked[0]).toBeGreaterThanOrEqual(240);
    expect(asked[0]).toBeLessThan(241.1);
    working = true;
    await pass(1);
    expect(renewed).toHaveLength(1);
    const tries = asked.length;
    await pass(200);
    expect(asked.length).toBe(tries);
    renewal.stop();
  });
});
