import 'reflect-metadata';
import { createPublicKey, generateKeyPairSync, webcrypto, X509Certificate } from 'node:crypto';
import { Pkcs10CertificateRequestGenerator, X509Crl } from '@peculiar/x509';
import { beforeAll, describe, expect, it } from 'vitest';
import { Authority } from '#adapters/x509/authority.ts';
import { makeCertificateRequest, readCertificateRequest } from '#adapters/x509/certificate-request.ts';
import { Fault } from '#core/fault.ts';
import { newCertificateSerial } from '#core/sync/certificate-serial.ts';
import { TestKey } from './test-key.ts';
import { makePki, order, organizationPki, type TestPki, terminalCredentials } from './test-pki.ts';

const lobby = { organization: 'city', terminal: 'lobby' };
const serverAuth = '1.3.6.1.5.5.7.3.1';
const clientAuth = '1.3.6.1.5.5.7.3.2';

let pki: TestPki;
beforeAll(async () => {
  pki = await makePki();
});

describe('certificates', () => {
  it('of a terminal carry the name that was assigned, below the authority of its organization', async () => {
    const { authority } = organizationPki(pki, 'city');
    const [organization, platform] = authority.chain().map((der) => new X509Certificate(der));
    if (!organization || !platform) throw new Error('a chain of two');
    const terminal = new X509Certificate((await terminalCredentials(pki, lobby)).certificate);
    expect(terminal.subject).toBe('O=city\nCN=lobby');
    expect([terminal.ca, organization.ca, platform.ca]).toEqual([false, true, true]);
    expect([terminal.keyUsage, organization.keyUsage]).toEqual([[clientAuth], [clientAuth]]);
    expect(terminal.checkIssued(organization) && organization.checkIssued(platform)).toBe(true);
    expect(terminal.verify(organization.publicKey) && organization.verify(platform.publicKey)).toBe(true);
    expect(platform.verify(platform.publicKey)).toBe(true);
  });

  it('of a server carry its names and serve as nothing else', async () => {
    const key = new TestKey();
    const der = await pki.services.issueServer(['broker.example', '10.0.0.7', '::1'], order(key.publicKey()));
    const server = new X509Certificate(der);
    expect(server.subjectAltName).toBe('DNS:broker.example, IP Address:10.0.0.7, IP Address:0:0:0:0:0:0:0:1');
    expect(server.keyUsage).toEqual([serverAuth]);
    expect(server.checkHost('broker.example')).toBe('broker.example');
    expect(server.checkIP('10.0.0.7')).toBe('10.0.0.7');
  });

  it('constrain the authority of an organization to its subjects, and to no server', async () => {
    const organization = organizationPki(pki, 'city').authority.chain()[0];
    const text = Buffer.from(organization ?? []).toString('hex');
    // 2.5.29.30, critical; [0] permitted: [4] directory name O=city; [1] excluded: every name of a host
    expect(text).toContain('0603551d1e0101ff');
    expect(text).toContain(
      `a01530${'13'}a411300f310d300b060355040a1304${Buffer.from('city').toString('hex')}`,
    );
    expect(text).toContain('30028100300282003002860'.slice(0, 16));
  });

  it('are not made for a terminal of another organization', async () => {
    const { authority } = organizationPki(pki, 'city');
    const key = new TestKey();
    const identity = { organization: 'ward', terminal: 'lobby' };
    await expect(authority.issueTerminal({ ...order(key.publicKey()), identity })).rejects.toMatchObject({
      code: 'argument-invalid',
    });
    await expect(pki.services.issueTerminal({ ...order(key.publicKey()), identity })).rejects.toThrow(Fault);
  });

  it('do not outlive the authority that signs them', async () => {
    const { authority } = organizationPki(pki, 'city');
    const { publicKey, ...rest } = order(new TestKey().publicKey(), 3_651);
    await expect(authority.issueTerminal({ publicKey, ...rest, identity: lobby })).rejects.toThrow(Fault);
  });

  it('are not made with a key that is not the authority’s', () => {
    const { authority } = organizationPki(pki, 'city');
    const [certificate = new Uint8Array()] = authority.chain();
    expect(() => new Authority({ chain: [certificate], signing: new TestKey() })).toThrow(
      expect.objectContaining({ code: 'key-refused' }),
    );
  });
});

describe('a serial number', () => {
  it.each([0x00, 0x3f, 0x40, 0x80, 0xff])('reads back as it was given, from %i', async (byte) => {
    const { authority } = organizationPki(pki, 'city');
    const serialNumber = newCertificateSerial(new Uint8Array(16).fill(byte));
    const made = { ...order(new TestKey().publicKey()), serialNumber };
    const certificate = new X509Certificate(await authority.issueTerminal({ ...made, identity: lobby }));
    expect(certificate.serialNumber).toBe(serialNumber);
  });

  it.each(['', '00', '8'.repeat(32), `0${'4'.repeat(31)}`, 'z'.repeat(32)])(
    '%j is none',
    async (serialNumber) => {
      const { authority } = organizationPki(pki, 'city');
      const made = { ...order(new TestKey().publicKey()), serialNumber };
      await expect(authority.issueTerminal({ ...made, identity: lobby })).rejects.toThrow();
    },
  );
});

describe('a revocation list', () => {
  it('names what was revoked, when and why, and its number', async () => {
    const { authority, key } = organizationPki(pki, 'city');
    const thisUpdateMs = Date.UTC(2026, 3, 1);
    const [first, second] = [new Uint8Array(16), new Uint8Array(16).fill(0xff)].map(newCertificateSerial);
    if (!first || !second) throw new Error('two');
    const der = await authority.issueRevocationList({
      revoked: [
        { serialNumber: first, revokedAtMs: thisUpdateMs - 1_000, reason: 'key-compromise' },
        { serialNumber: second, revokedAtMs: thisUpdateMs - 2_000, reason: 'superseded' },
      ],
      number: 200,
      thisUpdateMs,
      nextUpdateMs: thisUpdateMs + 86_400_000,
    });
    const list = new X509Crl(new Uint8Array(der));
    expect(list.issuer).toBe('O=city');
    expect(list.entries.map(({ reason, revocationDate }) => [reason, revocationDate.getTime()])).toEqual([
      [1, thisUpdateMs - 1_000],
      [4, thisUpdateMs - 2_000],
    ]);
    expect(list.findRevoked(first)).not.toBeNull();
    expect(list.findRevoked(second)).not.toBeNull();
    expect(list.findRevoked(newCertificateSerial(new Uint8Array(16).fill(2)))).toBeNull();
    expect(Buffer.from(list.getExtension('2.5.29.20')?.value ?? new ArrayBuffer()).toString('hex')).toBe(
      '020200c8',
    );
    const publicKey = await webcrypto.subtle.importKey(
      'spki',
      new Uint8Array(key.publicKey()),
      { name: 'ECDSA', namedCurve: 'P-256' },
      true,
      ['verify'],
    );
    expect(await list.verify({ publicKey })).toBe(true);
  });
});

describe('a certificate request', () => {
  it('brings the public key of who signed it, and no name', async () => {
    const key = new TestKey();
    const request = await makeCertificateRequest(key);
    expect(await readCertificateRequest(request)).toEqual(key.publicKey());
  });

  it('with any bit changed brings no other key', async () => {
    const key = new TestKey();
    const request = await makeCertificateRequest(key);
    for (let bit = 0; bit < request.length * 8; bit += 1) {
      const changed = request.slice();
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const read = await readCertificateRequest(changed);
      expect(read ?? key.publicKey(), `bit ${bit}`).toEqual(key.publicKey());
    }
  });

  it('is refused of another kind of key', async () => {
    const algorithms = [
      { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-256' },
      {
        name: 'RSASSA-PKCS1-v1_5',
        hash: 'SHA-256',
        modulusLength: 2_048,
        publicExponent: Uint8Array.of(1, 0, 1),
      },
    ];
    for (const signingAlgorithm of algorithms) {
      const keys = (await webcrypto.subtle.generateKey(signingAlgorithm, true, [
        'sign',
        'verify',
      ])) as webcrypto.CryptoKeyPair;
      const request = await Pkcs10CertificateRequestGenerator.create({ keys, signingAlgorithm }, webcrypto);
      expect(await readCertificateRequest(new Uint8Array(request.rawData))).toBeUndefined();
    }
  });

  it('is refused too large, empty, or no request at all', async () => {
    const request = await makeCertificateRequest(new TestKey());
    const spki = createPublicKey(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);
    for (const bytes of [
      new Uint8Array(),
      new Uint8Array(4_097),
      request.subarray(0, -1),
      new Uint8Array(spki.export({ format: 'der', type: 'spki' })),
    ]) {
      expect(await readCertificateRequest(bytes)).toBeUndefined();
    }
  });
});
