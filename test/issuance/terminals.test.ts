import 'reflect-metadata';
import { X509Certificate } from 'node:crypto';
import { X509Crl } from '@peculiar/x509';
import { fastify } from 'fastify';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { SystemEntropy } from '#adapters/os/entropy.ts';
import { Authority } from '#adapters/x509/authority.ts';
import { makeCertificateRequest, readCertificateRequest } from '#adapters/x509/certificate-request.ts';
import { toBase64 } from '#core/bytes/base64.ts';
import { toHex } from '#core/bytes/bytes.ts';
import { newCertificateSerial } from '#core/sync/certificate-serial.ts';
import { deviceKeyProof } from '#core/sync/enrolment.ts';
import { stateEveryMs, type TerminalState, terminalStateBytes } from '#core/sync/presence.ts';
import { Admission, fingerprintOf, type TerminalPeer } from '#issuance/terminals/admission.ts';
import { Presence } from '#issuance/terminals/presence.ts';
import { type KeyClaim, TerminalCertificates } from '#issuance/terminals/terminal-certificates.ts';
import { TerminalRegister } from '#issuance/terminals/terminal-register.ts';
import { addTerminalRoutes } from '#issuance/terminals/terminal-routes.ts';
import { type Certification, Terminals } from '#issuance/terminals/terminals.ts';
import type { RevocationReason } from '#ports/certificates.ts';
import { TestKey } from '../trust/test-key.ts';
import { databaseRigs, type StartedRig } from './database-rigs.ts';
import { commissioner, makeOrganization } from './organization-bench.ts';

const day = 86_400_000;
const entropy = new SystemEntropy();

/** A device that wants to be a terminal. */
class Device {
  readonly deviceKey = new TestKey();
  key = new TestKey();

  async claim(terminal = 'lobby', organization = 'city'): Promise<KeyClaim> {
    const request = await makeCertificateRequest(this.key);
    const proof = await this.deviceKey.sign(deviceKeyProof({ organization, terminal }, request));
    return { request, deviceKey: this.deviceKey.publicKey(), proof };
  }
}

function certificateOf(result: Certification): X509Certificate {
  if (result.kind !== 'certified') throw new Error(`refused: ${result.reason}`);
  return new X509Certificate(result.chain[0] ?? new Uint8Array());
}

const serialOf = (result: Certification): string => certificateOf(result).serialNumber;

/** What a connection shows of a certificate. */
const shownOf = ({ serialNumber, raw }: X509Certificate) => ({
  serialNumber,
  fingerprint: fingerprintOf(new Uint8Array(raw)),
});

async function makeBench(rig: StartedRig) {
  const bench = await makeOrganization(rig, 'city');
  const { clock, ledger } = bench;
  const key = new TestKey();
  const authorityOrder = {
    serialNumber: newCertificateSerial(entropy.bytes(16)),
    notBeforeMs: clock.utcMs() - 30 * day,
    notAfterMs: clock.utcMs() + 3_650 * day,
  };
  const platformKey = new TestKey();
  const platform = await Authority.makePlatform('platform', platformKey, authorityOrder);
  const certificate = await platform.issueOrganization('city', {
    ...authorityOrder,
    publicKey: key.publicKey(),
  });
  const authority = new Authority({ chain: [certificate, platform.chain()[0]], signing: key });
  let cuts = 0;
  const admission = new Admission({
    shut: () => {
      cuts += 1;
    },
  });
  const certificates = new TerminalCertificates({
    organization: 'city',
    ledger,
    authority,
    readRequest: readCertificateRequest,
    clock,
    entropy,
  });
  const server = { mayDate: true };
  const mayDate = () => server.mayDate;
  const terminals = new Terminals({ organization: 'city', ledger, certificates, clock, admission, mayDate });
  const register = new TerminalRegister({ ledger, clock, entropy });
  const identity = { organization: 'city', terminal: 'lobby' };
  return {
    ...bench,
    server,
    certificates,
    terminals,
    register,
    admission,
    cuts: () => cuts,
    identity,
    authority,
  };
}

describe.each(databaseRigs)('terminals on $name', ({ start }) => {
  let rig: StartedRig;
  let bench: Awaited<ReturnType<typeof makeBench>>;
  const device = new Device();

  beforeAll(async () => {
    rig = await start();
  });
  afterAll(() => rig.stop());
  beforeEach(async () => {
    bench = await makeBench(rig);
  });
  afterEach(async () => {
    for (const table of [
      'terminals',
      'enrolments',
      'certificates',
      'terminal_states',
      'commands',
      'command_orders',
      'told_devices',
    ] as const) {
      await bench.ledger.db.deleteFrom(table).execute();
    }
    await bench.databases.stop();
  });

  const prepare = (termMs?: number) =>
    bench.register.prepareEnrolment(
      { terminal: 'lobby', name: '正面', ...(termMs === undefined ? {} : { termMs }) },
      commissioner,
    );
  const shut = async (reason: RevocationReason): Promise<number> => {
    const serials = await bench.register.shut('lobby', reason, commissioner);
    bench.admission.shut('city', serials);
    return serials.length;
  };
  const admits = (result: Certification) =>
    bench.admission.admits({ identity: bench.identity, ...shownOf(certificateOf(result)) });

  it('tells who is online by what each said last', async () => {
    await prepare();
    const { clock, ledger, register } = bench;
    const warned: object[] = [];
    const presence = new Presence({
      ledger: async (id) => (id === 'city' ? ledger : undefined),
      clock,
      log: { warn: (...words: unknown[]) => void warned.push(words) },
    });
    const head = { type: 'terminal-state', format: 1 } as const;
    const device = {
      terminal: 'lobby',
      versions: {},
      startedAtMs: 0,
      clock: { utcMs: 0, trusted: true, floorMs: 0 },
      journal: { writable: true },
      ...{ doors: [], readers: [], faults: [] },
    };
    const say = (state: TerminalState, organization = 'city') => {
      const from = { organization, terminal: 'lobby' };
      return presence.take([{ from, kind: 'state', payload: terminalStateBytes(state) }]);
    };
    const places = { doors: [], zones: [], services: [] };
    const here = { ...head, presence: 'here', device, places } as const;
    const online = async () => (await register.list())[0]?.presence?.online;

    await say({ ...head, presence: 'gone', why: 'lost' });
    await say(here, 'ward');
    expect(await online()).toBeUndefined();
    await say(here);
    expect((await register.list())[0]?.presence).toEqual({ online: true, heardAtMs: clock.utcMs(), device });
    const reached = { rootVersion: 1, number: 7 };
    const policy = { reached: { version: reached, changes: reached }, altered: false };
    await say({ ...here, policy });
    expect((await register.list())[0]?.presence?.policy).toEqual(policy);
    await say(here);
    expect((await register.list())[0]?.presence).not.toHaveProperty('policy');
    // the end of the connection before this one is told late
    await say({ ...head, presence: 'gone', why: 'lost' });
    clock.advance(stateEveryMs);
    expect(await online()).toBe(true);
    await say(here);
    clock.advance(2 * stateEveryMs);
    expect(await online()).toBe(true);
    clock.advance(stateEveryMs);
    expect(await online()).toBe(false);
    // what came later does not count as a sign of life
    await say({ ...head, presence: 'gone', why: 'lost' });
    expect(await online()).toBe(false);
    await say(here);
    await say({ ...head, presence: 'gone', why: 'stopped' });
    expect(await online()).toBe(false);
    const from = { organization: 'city', terminal: 'lobby' };
    await presence.take([{ from, kind: 'state', payload: new Uint8Array(9) }]);
    expect(warned).toHaveLength(1);
  });

  it('enrols a device once; the same keys get the same certificate, others none', async () => {
    const { secret } = await prepare();
    const first = await bench.terminals.enrol('lobby', { secret, claim: await device.claim() });
    expect(certificateOf(first).subject).toBe('O=city\nCN=lobby');
    const told = await bench.ledger.db.selectFrom('told_devices').selectAll().execute();
    expect(told, 'it is told of conditions').toEqual([{ terminal_id: 'lobby', incarnation: '' }]);
    expect(admits(first)).toBe(true);
    // ECDSA signs anew: the request is another, the key is not
    const again = await bench.terminals.enrol('lobby', { secret, claim: await device.claim() });
    expect(again).toEqual(first);
    const other = await bench.terminals.enrol('lobby', { secret, claim: await new Device().claim() });
    expect(other).toEqual({ kind: 'refused', reason: 'secret' });
  });

  it('dates no certificate by a clock that most terminals contradict', async () => {
    const own = new Device();
    const { secret } = await prepare();
    bench.server.mayDate = false;
    const enrol = async () => bench.terminals.enrol('lobby', { secret, claim: await own.claim() });
    const clock = { kind: 'refused', reason: 'clock' };
    expect(await enrol()).toEqual(clock);
    bench.server.mayDate = true;
    const first = await enrol();
    const shown = serialOf(first);
    bench.clock.advance(200 * day);
    own.key = new TestKey();
    const renew = async () => bench.terminals.renew('lobby', { shown, claim: await own.claim() });
    bench.server.mayDate = false;
    expect(await renew()).toEqual(clock);
    bench.server.mayDate = true;
    expect((await renew()).kind).toBe('certified');
  });

  it('makes one certificate of two tries at once, whoever they are of', async () => {
    const { secret } = await prepare();
    const claims = await Promise.all([
      device.claim(),
      device.claim(),
      new Device().claim(),
      new Device().claim(),
    ]);
    const results = await Promise.all(
      claims.map((claim) => bench.terminals.enrol('lobby', { secret, claim })),
    );
    const certified = results.filter(({ kind }) => kind === 'certified');
    expect(new Set(certified.map(serialOf)).size).toBe(1);
    const [row, ...more] = await bench.ledger.db.selectFrom('certificates').selectAll().execute();
    expect(more).toEqual([]);
    expect(row && certified.every((result) => serialOf(result) === row.serial_number)).toBe(true);
  });

  it('refuses a wrong secret, another terminal’s, an expired and a replaced one', async () => {
    const { secret: replaced } = await prepare();
    const { secret } = await prepare();
    await bench.register.prepareEnrolment({ terminal: 'vault', name: '' }, commissioner);
    const refused = { kind: 'refused', reason: 'secret' };
    const claim = await device.claim();
    for (const wrong of [replaced, 'A'.repeat(43), '']) {
      expect(await bench.terminals.enrol('lobby', { secret: wrong, claim })).toEqual(refused);
    }
    expect(await bench.terminals.enrol('vault', { secret, claim: await device.claim('vault') })).toEqual(
      refused,
    );
    expect(await bench.terminals.enrol('nowhere', { secret, claim })).toEqual(refused);
    bench.clock.advance(7 * day);
    expect(await bench.terminals.enrol('lobby', { secret, claim })).toEqual(refused);
    expect(await bench.ledger.db.selectFrom('certificates').selectAll().execute()).toEqual([]);
  });

  it('gives its certificate to a device whose answer was lost, though the term is over by then', async () => {
    const { secret } = await prepare();
    const first = await bench.terminals.enrol('lobby', { secret, claim: await device.claim() });
    bench.clock.advance(30 * day);
    expect(await bench.terminals.enrol('lobby', { secret, claim: await device.claim() })).toEqual(first);
  });

  it('refuses keys that are not proved, and one key for both purposes, without using up the secret', async () => {
    const { secret } = await prepare();
    const claim = await device.claim();
    const other = await new Device().claim();
    const both = new Device();
    both.key = both.deviceKey;
    for (const wrong of [
      { ...claim, proof: other.proof },
      { ...claim, deviceKey: other.deviceKey },
      { ...claim, request: other.request },
      { ...claim, request: new Uint8Array(10) },
      { ...claim, deviceKey: new Uint8Array(91) },
      await device.claim('vault'),
      await device.claim('lobby', 'ward'),
      await both.claim(),
    ]) {
      const result = await bench.terminals.enrol('lobby', { secret, claim: wrong });
      expect(result).toEqual({ kind: 'refused', reason: 'keys' });
    }
    expect((await bench.terminals.enrol('lobby', { secret, claim })).kind).toBe('certified');
  });

  it('replaces a broken device: the old one is shut out when the new one comes', async () => {
    const first = await bench.terminals.enrol('lobby', {
      secret: (await prepare()).secret,
      claim: await device.claim(),
    });
    const { secret } = await prepare();
    expect(admits(first)).toBe(true);
    const second = await bench.terminals.enrol('lobby', { secret, claim: await new Device().claim() });
    expect([admits(first), admits(second)]).toEqual([false, true]);
    expect(bench.cuts()).toBe(1);
    const renewal = { shown: serialOf(first), claim: await device.claim() };
    expect(await bench.terminals.renew('lobby', renewal)).toEqual({ kind: 'refused', reason: 'revoked' });
  });

  it('renews with a new key; the certificate shown stays good until the one after', async () => {
    const own = new Device();
    const first = await bench.terminals.enrol('lobby', {
      secret: (await prepare()).secret,
      claim: await own.claim(),
    });
    const renewals: Certification[] = [];
    let shown = serialOf(first);
    for (let i = 0; i < 3; i += 1) {
      bench.clock.advance(200 * day);
      own.key = new TestKey();
      const renewed = await bench.terminals.renew('lobby', { shown, claim: await own.claim() });
      // the answer was lost
      expect(await bench.terminals.renew('lobby', { shown, claim: await own.claim() })).toEqual(renewed);
      renewals.push(renewed);
      shown = serialOf(renewed);
    }
    const good = [first, ...renewals].map((result) => admits(result));
    expect(good).toEqual([false, false, true, true]);
  });

  it('makes no more certificates than are due, whatever keys come', async () => {
    const own = new Device();
    const first = await bench.terminals.enrol('lobby', {
      secret: (await prepare()).secret,
      claim: await own.claim(),
    });
    const renew = async (days: number) => {
      bench.clock.advance(days * day);
      own.key = new TestKey();
      return bench.terminals.renew('lobby', { shown: serialOf(first), claim: await own.claim() });
    };
    const early = { kind: 'refused', reason: 'early' };
    expect(await renew(180)).toEqual(early);
    expect((await renew(3)).kind).toBe('certified');
    expect(await renew(0.9)).toEqual(early);
    // the answer was lost, and so was the key
    expect((await renew(0.2)).kind).toBe('certified');
    expect(await bench.register.list()).toMatchObject([{ terminal: 'lobby', state: 'enrolled' }]);
  });

  it('renews for nobody else, and not with another key for the journal', async () => {
    const first = await bench.terminals.enrol('lobby', {
      secret: (await prepare()).secret,
      claim: await device.claim(),
    });
    const stranger = new Device();
    const shown = serialOf(first);
    expect(await bench.terminals.renew('lobby', { shown, claim: await stranger.claim() })).toEqual({
      kind: 'refused',
      reason: 'keys',
    });
    for (const [terminal, serial] of [
      ['vault', shown],
      ['lobby', newCertificateSerial(entropy.bytes(16))],
    ] as const) {
      const renewal = { shown: serial, claim: await device.claim(terminal) };
      expect(await bench.terminals.renew(terminal, renewal)).toEqual({ kind: 'refused', reason: 'revoked' });
    }
  });

  it('shuts a terminal out at once, in the list of revoked certificates as well', async () => {
    const first = await bench.terminals.enrol('lobby', {
      secret: (await prepare()).secret,
      claim: await device.claim(),
    });
    const { secret } = await prepare();
    expect(await shut('key-compromise')).toBe(1);
    expect(await shut('key-compromise')).toBe(0);
    expect(admits(first)).toBe(false);
    const open = await bench.terminals.enrol('lobby', { secret, claim: await device.claim() });
    expect(open).toEqual({ kind: 'refused', reason: 'secret' });
    const list = new X509Crl(
      new Uint8Array(await bench.certificates.revocationList(await bench.certificates.revoked())),
    );
    expect(list.findRevoked(serialOf(first))?.reason).toBe(1);
    bench.clock.advance(366 * day);
    const later = new X509Crl(
      new Uint8Array(await bench.certificates.revocationList(await bench.certificates.revoked())),
    );
    expect(later.entries).toEqual([]);
  });

  it('admits after a restart whom it admitted before, and nobody whose certificate it did not make', async () => {
    const first = await bench.terminals.enrol('lobby', {
      secret: (await prepare()).secret,
      claim: await device.claim(),
    });
    const restarted = new Admission({ shut: () => undefined });
    await restarted.load('city', bench.ledger, bench.clock.utcMs());
    const identity = bench.identity;
    const shown = shownOf(certificateOf(first));
    expect(restarted.admits({ identity, ...shown })).toBe(true);
    const serialNumber = newCertificateSerial(entropy.bytes(16));
    expect(restarted.admits({ identity, ...shown, serialNumber })).toBe(false);
    const forged = await bench.authority.issueTerminal({
      identity,
      publicKey: new TestKey().publicKey(),
      serialNumber: shown.serialNumber,
      notBeforeMs: bench.clock.utcMs(),
      notAfterMs: bench.clock.utcMs() + day,
    });
    const copied = shownOf(new X509Certificate(forged));
    expect(copied.serialNumber).toBe(shown.serialNumber);
    expect(restarted.admits({ identity, ...copied })).toBe(false);
    const elsewhere = { organization: 'ward', terminal: 'lobby' };
    expect(restarted.admits({ identity: elsewhere, ...shown })).toBe(false);
    await restarted.load('city', bench.ledger, bench.clock.utcMs() + 366 * day);
    expect(restarted.admits({ identity, ...shown })).toBe(false);
  });

  it('tells of each terminal where it stands', async () => {
    const states = async () =>
      (await bench.register.list()).map(({ terminal, state }) => `${terminal} ${state}`);
    const { secret, expiresAtMs } = await prepare();
    await bench.register.prepareEnrolment({ terminal: 'vault', name: '' }, commissioner);
    expect(await states()).toEqual(['lobby waiting', 'vault waiting']);
    expect((await bench.register.list())[0]?.enrolmentUntilMs).toBe(expiresAtMs);
    await bench.terminals.enrol('lobby', { secret, claim: await device.claim() });
    expect(await states()).toEqual(['lobby enrolled', 'vault waiting']);
    await shut('cessation');
    expect(await states()).toEqual(['lobby shut', 'vault waiting']);
  });

  it.each(['Lobby', 'lobby,O=ward', '', 'x'.repeat(33), '123456789018'])(
    'knows no terminal %j',
    async (terminal) => {
      await expect(
        bench.register.prepareEnrolment({ terminal, name: '' }, commissioner),
      ).rejects.toMatchObject({
        code: 'argument-invalid',
      });
    },
  );

  it('bounds the term of an enrolment', async () => {
    for (const termMs of [0, -1, 91 * day, Number.NaN]) {
      await expect(prepare(termMs)).rejects.toMatchObject({ code: 'argument-invalid' });
    }
  });
});

describe('what devices ask over HTTPS', () => {
  const [database] = databaseRigs;
  const brokers = [{ host: 'broker.example', port: 8_883 }];

  async function openServer() {
    if (!database) throw new Error('no database');
    const rig = await database.start();
    const bench = await makeBench(rig);
    let peer: TerminalPeer | undefined;
    const app = fastify();
    addTerminalRoutes(app, {
      terminals: async (organization) => (organization === 'city' ? bench.terminals : undefined),
      peer: () => peer,
      admission: bench.admission,
      brokers,
    });
    const post = async (url: string, payload: object) => {
      const answer = await app.inject({ method: 'POST', url: `/terminal/v1/${url}`, payload });
      return { status: answer.statusCode, body: answer.json() };
    };
    const close = async () => {
      await app.close();
      await bench.databases.stop();
      await rig.stop();
    };
    return {
      bench,
      post,
      close,
      show: (shown: TerminalPeer | undefined) => {
        peer = shown;
      },
    };
  }

  const sent = ({ request, deviceKey, proof }: KeyClaim) => ({
    format: 1,
    request: toBase64(request),
    deviceKey: toBase64(deviceKey),
    proof: toHex(proof),
  });

  it('enrols and renews, and answers every refusal alike', async () => {
    const server = await openServer();
    const device = new Device();
    const { secret } = await server.bench.register.prepareEnrolment(
      { terminal: 'lobby', name: '' },
      commissioner,
    );
    const enrolment = { ...sent(await device.claim()), organization: 'city', terminal: 'lobby', secret };
    const enrolled = await server.post('enrolment', enrolment);
    expect(enrolled.status).toBe(200);
    expect(enrolled.body.brokers).toEqual(brokers);
    const certificate = new X509Certificate(Buffer.from(enrolled.body.certificates[0], 'base64'));
    const refused = [
      { ...enrolment, secret: 'A'.repeat(43) },
      { ...enrolment, organization: 'ward' },
      { ...enrolment, terminal: 'vault' },
      { ...enrolment, ...sent(await new Device().claim()) },
    ];
    const answers = await Promise.all(refused.map((one) => server.post('enrolment', one)));
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    expect(answers[0]?.status).toBe(403);
    for (const malformed of [
      {},
      { ...enrolment, more: 1 },
      { ...enrolment, secret: 1 },
      { ...enrolment, proof: 'x' },
    ]) {
      expect((await server.post('enrolment', malformed)).status).toBe(400);
    }
    expect((await server.post('enrolment', { ...enrolment, request: 'A'.repeat(20_000) })).status).toBe(413);

    device.key = new TestKey();
    const renewal = sent(await device.claim());
    expect((await server.post('renewal', renewal)).status).toBe(401);
    const shown = { identity: server.bench.identity, ...shownOf(certificate) };
    server.show({ ...shown, serialNumber: newCertificateSerial(entropy.bytes(16)) });
    expect((await server.post('renewal', renewal)).status).toBe(401);
    server.show(shown);
    expect((await server.post('renewal', renewal)).status).toBe(503);
    server.bench.clock.advance(200 * day);
    expect((await server.post('renewal', renewal)).status).toBe(200);
    server.bench.admission.shut(
      'city',
      await server.bench.register.shut('lobby', 'key-compromise', commissioner),
    );
    expect((await server.post('renewal', renewal)).status).toBe(401);
    await server.close();
  });
});
