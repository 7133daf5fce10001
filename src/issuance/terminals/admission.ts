import { toHex } from '#core/bytes/bytes.ts';
import { digest } from '#core/crypto/digest.ts';
import type { TerminalIdentity } from '#core/sync/terminal-identity.ts';
import type { Ledger } from '../storage/ledger.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';

/** Who shows a certificate that was verified, by that certificate. */
export interface TerminalPeer {
  readonly identity: TerminalIdentity;
  readonly serialNumber: string;
  /** SHA-256 of the certificate, upper-case hexadecimal */
  readonly fingerprint: string;
}

/** Of a certificate, DER. */
export function fingerprintOf(certificate: Uint8Array): string {
  return toHex(digest('sha-256', certificate));
}

interface GoodCertificate {
  readonly fingerprint: string;
  readonly terminal: string;
}

/**
 * The certificates that are good, in memory, so that each connection and each request can be asked about at once. What
 * is not among them, byte for byte, is refused, also where an authority's signature is right: whoever stole its key made it.
 */
export class Admission {
  /** by organization and serial number */
  readonly #good = new Map<string, Map<string, GoodCertificate>>();
  /** by organization: the terminals of which some certificate is good; gathered when it is asked for */
  readonly #served = new Map<string, ReadonlySet<string>>();
  readonly #shut: () => void;

  /** `shut`: connections are to be looked at again */
  constructor(parts: { readonly shut: () => void }) {
    this.#shut = parts.shut;
  }

  /** Takes the certificates of an organization as they are now; to be repeated where several processes serve it. */
  async load(organization: string, ledger: Ledger<PermissionsTables>, nowMs: number): Promise<void> {
    const rows = await ledger.db
      .selectFrom('certificates')
      .select(['serial_number', 'terminal_id', 'certificate'])
      .where('revoked_at_ms', 'is', null)
      .where('not_after_ms', '>', nowMs)
      .execute();
    const good = rows.map((row) => {
      const known = { fingerprint: fingerprintOf(row.certificate), terminal: row.terminal_id };
      return [row.serial_number, known] as const;
    });
    this.#good.set(organization, new Map(good));
    this.#served.delete(organization);
    this.#shut();
  }

  admits({ identity, serialNumber, fingerprint }: TerminalPeer): boolean {
    return this.#good.get(identity.organization)?.get(serialNumber)?.fingerprint === fingerprint;
  }

  /** Whether some certificate of a terminal is good, for brokers that have verified themselves which one is shown. */
  serves({ organization, terminal }: TerminalIdentity): boolean {
    let served = this.#served.get(organization);
    if (!served) {
      const good = this.#good.get(organization)?.values() ?? [];
      served = new Set(Array.from(good, (certificate) => certificate.terminal));
      this.#served.set(organization, served);
    }
    return served.has(terminal);
  }

  admit({ identity, serialNumber, fingerprint }: TerminalPeer): void {
    const good = this.#good.get(identity.organization) ?? new Map<string, GoodCertificate>();
    const { terminal } = identity;
    this.#good.set(identity.organization, good.set(serialNumber, { fingerprint, terminal }));
    this.#served.delete(identity.organization);
  }

  shut(organization: string, serialNumbers: readonly string[]): void {
    if (serialNumbers.length === 0) return;
    for (const serialNumber of serialNumbers) this.#good.get(organization)?.delete(serialNumber);
    this.#served.delete(organization);
    this.#shut();
  }
}
