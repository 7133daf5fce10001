import type { TerminalIdentity } from '#core/sync/terminal-identity.ts';
import type { Ledger } from '../storage/ledger.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';

/** Who shows a certificate that was verified, by that certificate. */
export interface TerminalPeer {
  readonly identity: TerminalIdentity;
  readonly serialNumber: string;
}

/**
 * The certificates that are good, in memory, so that each connection and each request can be asked about at once. What
 * is not among them is refused, also where an authority's signature is right: whoever stole its key made it.
 */
export class Admission {
  readonly #good = new Map<string, Set<string>>();
  readonly #shut: () => void;

  /** `shut`: connections are to be looked at again */
  constructor(parts: { readonly shut: () => void }) {
    this.#shut = parts.shut;
  }

  /** Takes the certificates of an organization as they are now; to be repeated where several processes serve it. */
  async load(organization: string, ledger: Ledger<PermissionsTables>, nowMs: number): Promise<void> {
    const rows = await ledger.db
      .selectFrom('certificates')
      .select('serial_number')
      .where('revoked_at_ms', 'is', null)
      .where('not_after_ms', '>', nowMs)
      .execute();
    this.#good.set(organization, new Set(rows.map((row) => row.serial_number)));
    this.#shut();
  }

  admits({ identity, serialNumber }: TerminalPeer): boolean {
    return this.#good.get(identity.organization)?.has(serialNumber) === true;
  }

  admit({ identity, serialNumber }: TerminalPeer): void {
    const good = this.#good.get(identity.organization) ?? new Set();
    this.#good.set(identity.organization, good.add(serialNumber));
  }

  shut(organization: string, serialNumbers: readonly string[]): void {
    if (serialNumbers.length === 0) return;
    for (const serialNumber of serialNumbers) this.#good.get(organization)?.delete(serialNumber);
    this.#shut();
  }
}
