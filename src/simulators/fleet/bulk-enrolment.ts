import { createHash, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { join } from 'node:path';
import { SystemEntropy } from '#adapters/os/entropy.ts';
import { certificatePem } from '#adapters/x509/pem.ts';
import { plainBytes, toHex } from '#core/bytes/bytes.ts';
import { AuthorityFiles } from '#issuance/authority-files.ts';
import type { Issuance } from '#issuance/main.ts';
import type { Organization } from '#issuance/organizations/organizations.ts';
import { type MadeCertificate, TerminalCertificates } from '#issuance/terminals/terminal-certificates.ts';

/** What one simulated terminal needs to be one; secrets, all PEM. */
export interface FleetMember {
  readonly organization: string;
  readonly terminal: string;
  readonly certificates: string;
  readonly privateKey: string;
  readonly authority: string;
  readonly deviceKey: string;
  readonly devicePublicKey: string;
}

/** what the names of its terminals begin with */
export const fleetPrefix = 't-';
/** certificates recorded in one transaction */
const atOnce = 500;

/**
 * Makes `count` terminals of an organization with certificates by its authority, as their enrolment would. Nothing of
 * the server offers this: it needs the server's own files, and the server is not to run meanwhile.
 */
export async function enrolFleet(
  issuance: Issuance,
  organization: Organization,
  count: number,
): Promise<readonly FleetMember[]> {
  const { organizations, clock, config } = issuance;
  const entropy = new SystemEntropy();
  const directory = join(config.stateDirectory, 'authorities');
  const authority = await new AuthorityFiles({ directory, clock, entropy }).organization(organization.id);
  const ledger = await organizations.ledger(organization);
  const certificates = new TerminalCertificates({
    organization: organization.id,
    ledger,
    authority,
    readRequest: async () => undefined,
    clock,
    entropy,
  });
  const members: FleetMember[] = [];
  for (let from = 0; from < count; from += atOnce) {
    const made: { readonly terminal: string; readonly certificate: MadeCertificate }[] = [];
    for (let at = from; at < Math.min(count, from + atOnce); at += 1) {
      const [own, device] = [newKey(), newKey()];
      const keyId = toHex(createHash('sha256').update(own.spki).digest());
      const terminal = `${fleetPrefix}${at}`;
      const certificate = await certificates.make(terminal, {
        publicKey: own.spki,
        keyId,
        deviceKey: device.spki,
      });
      made.push({ terminal, certificate });
      const chain = certificates.chain(certificate.certificate);
      members.push({
        organization: organization.id,
        terminal,
        certificates: certificatePem(...chain.slice(0, -1)),
        authority: certificatePem(...chain.slice(-1)),
        privateKey: own.pkcs8,
        deviceKey: device.pkcs8,
        devicePublicKey: createPublicKey(device.pkcs8).export({ format: 'pem', type: 'spki' }).toString(),
      });
    }
    await ledger.change({ id: 'fleet', via: 'command-line' }, async (change) => {
      await change.db
        .insertInto('terminals')
        .values(
          made.map(({ terminal }) => ({ terminal_id: terminal, name: terminal, made_at_ms: change.atMs })),
        )
        .execute();
      for (const { terminal, certificate } of made) await certificates.record(change, terminal, certificate);
      await change.audit({ action: 'fleet-enrolled', body: { terminals: made.length } });
    });
  }
  return members;
}

function newKey(): { readonly spki: Uint8Array; readonly pkcs8: string } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return {
    spki: plainBytes(publicKey.export({ format: 'der', type: 'spki' })),
    pkcs8: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
  };
}
