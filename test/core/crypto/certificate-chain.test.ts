import { beforeAll, describe, expect, it } from 'vitest';
import { readCertificateChain } from '#core/crypto/certificate-chain.ts';
import { TestKey } from '../../trust/test-key.ts';
import { makePki, order, organizationPki, type TestPki } from '../../trust/test-pki.ts';

describe('a chain of certificates', () => {
  const key = new TestKey();
  let made: ReturnType<typeof order>;
  let pki: TestPki;
  let terminal: Uint8Array;
  let organization: Uint8Array;
  let platform: Uint8Array;

  beforeAll(async () => {
    pki = await makePki();
    // its life begins no earlier than those of the authorities
    made = order(key.publicKey());
    const { authority } = organizationPki(pki, 'city');
    const identity = { organization: 'city', terminal: 'lobby' };
    terminal = await authority.issueTerminal({ ...made, identity });
    [organization, platform] = authority.chain() as [Uint8Array, Uint8Array];
  });

  it('says what its first certificate says', () => {
    expect(readCertificateChain([terminal, organization, platform], platform)).toEqual({
      subject: 'O=city\nCN=lobby',
      serialNumber: made.serialNumber.toUpperCase(),
      publicKey: key.publicKey(),
      notBeforeMs: Math.floor(made.notBeforeMs / 1_000) * 1_000,
      notAfterMs: Math.floor(made.notAfterMs / 1_000) * 1_000,
    });
  });

  it('counts for nothing under another authority', async () => {
    const [other] = (await makePki()).platform.chain();
    expect(readCertificateChain([terminal, organization, platform], other)).toBeUndefined();
    expect(readCertificateChain([terminal, organization, other], other)).toBeUndefined();
    expect(readCertificateChain([terminal, organization], platform)).toBeUndefined();
  });

  it('counts for nothing with a link missing, in another order, or of another organization', () => {
    const [ward] = organizationPki(pki, 'ward').authority.chain();
    const [services] = pki.services.chain();
    for (const chain of [
      [],
      [terminal, platform],
      [organization, terminal, platform],
      [terminal, ward, platform],
      [terminal, services, platform],
      [terminal, terminal, organization, platform],
    ]) {
      expect(readCertificateChain(chain, platform)).toBeUndefined();
    }
  });

  it('counts for nothing where it begins with an authority', () => {
    expect(readCertificateChain([organization, platform], platform)).toBeUndefined();
    expect(readCertificateChain([platform], platform)).toBeUndefined();
  });

  it('counts for nothing with any byte of the certificate changed', () => {
    for (let at = 0; at < terminal.length; at += 1) {
      const changed = terminal.slice();
      changed[at] = (changed[at] ?? 0) ^ 0x01;
      expect(readCertificateChain([changed, organization, platform], platform)).toBeUndefined();
    }
  });

  it('counts for nothing where it cannot be read', () => {
    for (const bytes of [new Uint8Array(), new Uint8Array(3), terminal.slice(0, -1)]) {
      expect(readCertificateChain([bytes, organization, platform], platform)).toBeUndefined();
    }
  });
});
