import { revocationListPem } from '#adapters/x509/pem.ts';
import { brokerUsername } from '#core/sync/terminal-identity.ts';
import type { CertificateIssue } from '#ports/certificates.ts';
import type { Clock } from '#ports/clock.ts';
import { issueRevocationList, type TerminalCertificates } from '../terminals/terminal-certificates.ts';

export interface BrokerListsParts {
  /** undefined where there is no such organization */
  readonly certificates: (organization: string) => Promise<TerminalCertificates | undefined>;
  /** what has certified this server, and all servers */
  readonly services: () => Promise<Pick<CertificateIssue, 'issueRevocationList' | 'chain'>>;
  readonly clock: Clock;
}

/** The revocation list of one authority. */
export interface AuthorityList {
  /** its certificate, DER */
  readonly authority: Uint8Array;
  /** PEM */
  readonly list: string;
}

interface OrganizationLists extends AuthorityList {
  /** what it says, to tell whether another one is due */
  readonly said: string;
  readonly madeAtMs: number;
  /** names at the broker of those who have no good certificate any more */
  readonly shut: readonly string[];
}

/** A list serves for 30 days; so a server that is away for weeks shuts nobody out. */
const renewAfterMs = 86_400_000;

/** Whom a broker that is a program of its own must not let in, as it is known to this process. */
export class BrokerLists {
  readonly #parts: BrokerListsParts;
  readonly #organizations = new Map<string, OrganizationLists>();
  #services: (AuthorityList & { readonly madeAtMs: number }) | undefined;

  constructor(parts: BrokerListsParts) {
    this.#parts = parts;
  }

  /**
   * Looks who of an organization is shut out, where its certificates may have `changed` or the list is a day old. Resolves
   * with the names at the broker of those of whom a certificate was revoked within a day, and was not known to be. Rejects
   * with database faults, and leaves what was known.
   */
  async look(organization: string, changed: boolean): Promise<readonly string[]> {
    const { clock } = this.#parts;
    const nowMs = clock.utcMs();
    const known = this.#organizations.get(organization);
    const due = !known || nowMs - known.madeAtMs > renewAfterMs;
    const certificates = changed || due ? await this.#parts.certificates(organization) : undefined;
    if (!certificates) return [];
    const [revoked, served] = [await certificates.revoked(), await certificates.served()];
    const shut = [...new Set(revoked.map(({ terminal }) => terminal))]
      .filter((terminal) => !served.has(terminal))
      .map((terminal) => brokerUsername({ organization, terminal }));
    const said = JSON.stringify([revoked, shut]);
    if (known?.said === said && !due) return [];
    const list = revocationListPem(await certificates.revocationList(revoked));
    const authority = certificates.authority();
    this.#organizations.set(organization, { said, madeAtMs: nowMs, authority, list, shut });
    const late = revoked.filter(({ revokedAtMs }) => revokedAtMs > nowMs - renewAfterMs);
    return late
      .filter(({ serialNumber }) => !known?.said.includes(serialNumber))
      .map(({ terminal }) => brokerUsername({ organization, terminal }));
  }

  /** Of every authority that certifies those who speak at a broker. Rejects with faults of key files. */
  async lists(): Promise<readonly AuthorityList[]> {
    const known = [...this.#organizations].sort(([one], [other]) => (one < other ? -1 : 1));
    return [await this.#servicesList(), ...known.map(([, list]) => list)];
  }

  /** names at the broker of those who have no good certificate any more */
  shut(): readonly string[] {
    return [...this.#organizations.values()].flatMap(({ shut }) => shut).sort();
  }

  /** Of the authority that certified this server: it has revoked nobody. */
  async #servicesList(): Promise<AuthorityList> {
    const nowMs = this.#parts.clock.utcMs();
    if (!this.#services || nowMs - this.#services.madeAtMs > renewAfterMs) {
      const services = await this.#parts.services();
      const list = await issueRevocationList(services, [], nowMs);
      const [authority = new Uint8Array()] = services.chain();
      this.#services = { madeAtMs: nowMs, list: revocationListPem(list), authority };
    }
    return this.#services;
  }
}
