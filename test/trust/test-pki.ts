import { randomBytes } from 'node:crypto';
import type { TlsCredentials } from '#adapters/mqtt/credentials.ts';
import { Authority } from '#adapters/x509/authority.ts';
import { certificatePem } from '#adapters/x509/pem.ts';
import { newCertificateSerial } from '#core/sync/certificate-serial.ts';
import type { TerminalIdentity } from '#core/sync/terminal-identity.ts';
import { TestKey } from './test-key.ts';

const day = 86_400_000;

/** What a certificate is made from, with a life around now. */
export const order = (publicKey: Uint8Array, days = 365) => ({
  publicKey,
  serialNumber: newCertificateSerial(randomBytes(16)),
  notBeforeMs: Date.now() - 3_600_000,
  notAfterMs: Date.now() + days * day,
});

/** A platform with its services and two organizations, made for one test run. */
export interface TestPki {
  readonly platform: Authority;
  readonly services: Authority;
  readonly organizations: ReadonlyMap<string, OrganizationPki>;
  readonly authorities: string;
  readonly server: TlsCredentials;
  readonly issuance: TlsCredentials;
}

export interface OrganizationPki {
  readonly authority: Authority;
  readonly key: TestKey;
}

export async function makePki(): Promise<TestPki> {
  const platformKey = new TestKey();
  const platform = await Authority.makePlatform(
    'Kazasu test platform',
    platformKey,
    order(platformKey.publicKey(), 7_300),
  );
  const root = platform.chain()[0];
  const servicesKey = new TestKey();
  const services = new Authority({
    chain: [
      await platform.issueServices('Kazasu test services', order(servicesKey.publicKey(), 3_650)),
      root,
    ],
    signing: servicesKey,
  });
  const organizations = new Map<string, OrganizationPki>();
  for (const name of ['city', 'ward']) {
    const key = new TestKey();
    const certificate = await platform.issueOrganization(name, order(key.publicKey(), 3_650));
    organizations.set(name, { authority: new Authority({ chain: [certificate, root], signing: key }), key });
  }
  const authorities = certificatePem(root);
  const serverKey = new TestKey();
  const serverCertificate = await services.issueServer(
    ['localhost', '127.0.0.1'],
    order(serverKey.publicKey()),
  );
  const issuanceKey = new TestKey();
  const issuanceCertificate = await services.issueIssuance(order(issuanceKey.publicKey()));
  const shown = (certificate: Uint8Array, key: TestKey): TlsCredentials => ({
    certificates: certificatePem(certificate, services.chain()[0]),
    privateKey: key.pem(),
    authorities,
  });
  return {
    platform,
    services,
    organizations,
    authorities,
    server: shown(serverCertificate, serverKey),
    issuance: shown(issuanceCertificate, issuanceKey),
  };
}

export function organizationPki(pki: TestPki, organization: string): OrganizationPki {
  const found = pki.organizations.get(organization);
  if (!found) throw new Error(`no organization ${organization} in this test`);
  return found;
}

/** What a terminal that is enrolled shows. */
export async function terminalCredentials(
  pki: TestPki,
  identity: TerminalIdentity,
  days = 365,
): Promise<TlsCredentials & { readonly certificate: Uint8Array; readonly serialNumber: string }> {
  const { authority } = organizationPki(pki, identity.organization);
  const key = new TestKey();
  const made = order(key.publicKey(), days);
  const certificate = await authority.issueTerminal({ ...made, identity });
  return {
    certificate,
    serialNumber: made.serialNumber,
    certificates: certificatePem(certificate, authority.chain()[0]),
    privateKey: key.pem(),
    authorities: pki.authorities,
  };
}
