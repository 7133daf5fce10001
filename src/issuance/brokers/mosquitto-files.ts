import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mosquittoAccess, mosquittoConfig } from '#adapters/broker/mosquitto-config.ts';
import { replaceSharedFile } from '#adapters/process/durable-file.ts';
import { makeFolder } from '#adapters/process/ownership.ts';
import { revocationListPem } from '#adapters/x509/pem.ts';
import { brokerUsername } from '#core/sync/terminal-identity.ts';
import type { CertificateIssue } from '#ports/certificates.ts';
import type { Clock } from '#ports/clock.ts';
import type { ServerCredentials } from '../authority-files.ts';
import type { IssuanceConfig } from '../config.ts';
import { issueRevocationList, type TerminalCertificates } from '../terminals/terminal-certificates.ts';

type TerminalsConfig = NonNullable<IssuanceConfig['terminals']>;
type MosquittoConfig = Extract<TerminalsConfig['broker'], { kind: 'mosquitto' }>;

export interface MosquittoFilesParts {
  readonly config: TerminalsConfig & { readonly broker: MosquittoConfig };
  /** undefined where there is no such organization */
  readonly certificates: (organization: string) => Promise<TerminalCertificates | undefined>;
  /** what has certified this server, and all servers */
  readonly services: Pick<CertificateIssue, 'issueRevocationList'>;
  readonly clock: Clock;
}

interface OrganizationLists {
  /** what it says, to tell whether another one is due */
  readonly said: string;
  readonly madeAtMs: number;
  readonly list: string;
  /** names at the broker of those who have no good certificate any more */
  readonly shut: readonly string[];
}

/** A list serves for 30 days; so a server that is away for weeks shuts nobody out. */
const renewAfterMs = 86_400_000;

/**
 * What a mosquitto beside this process reads: its configuration, certificates, and who is shut out. Each file is put in
 * place whole, and only where it changes, so that whoever watches the folder tells the broker of changes alone.
 */
export class MosquittoFiles {
  readonly #parts: MosquittoFilesParts;
  readonly #organizations = new Map<string, OrganizationLists>();
  #services: { readonly madeAtMs: number; readonly list: string } | undefined;

  constructor(parts: MosquittoFilesParts) {
    this.#parts = parts;
  }

  /** Writes the configuration and what this server shows. Resolves with whether anything changed. Rejects with faults of files. */
  async writeConfig({ certificates, privateKey, authorities }: ServerCredentials): Promise<boolean> {
    const { config } = this.#parts;
    makeFolder(config.broker.directory);
    const text = mosquittoConfig({
      address: config.listen,
      port: config.brokerPort,
      certificates: this.#at('server.pem'),
      privateKey: this.#at('server.key'),
      authorities: this.#at('platform.pem'),
      revocationLists: this.#at('revoked.pem'),
      access: this.#at('access'),
      ...(config.broker.pidFile !== undefined && { pidFile: config.broker.pidFile }),
    });
    return this.#write({
      'platform.pem': authorities,
      'server.pem': certificates,
      'server.key': privateKey,
      'mosquitto.conf': text,
    });
  }

  /** Whether the list of an organization is to be made anew though nothing was revoked. */
  isDue(organization: string): boolean {
    const known = this.#organizations.get(organization);
    return !known || this.#parts.clock.utcMs() - known.madeAtMs > renewAfterMs;
  }

  /** Looks who of an organization is shut out. Rejects with database faults, and leaves what was known. */
  async look(organization: string): Promise<void> {
    const certificates = await this.#parts.certificates(organization);
    if (!certificates) return;
    const [revoked, served] = [await certificates.revoked(), await certificates.served()];
    const shut = [...new Set(revoked.map(({ terminal }) => terminal))]
      .filter((terminal) => !served.has(terminal))
      .map((terminal) => brokerUsername({ organization, terminal }));
    const said = JSON.stringify([revoked, shut]);
    if (this.#organizations.get(organization)?.said === said && !this.isDue(organization)) return;
    const list = revocationListPem(await certificates.revocationList(revoked));
    this.#organizations.set(organization, { said, madeAtMs: this.#parts.clock.utcMs(), list, shut });
  }

  /** Writes the lists as they are known. Resolves with whether they changed. Rejects with faults of files. */
  async writeLists(): Promise<boolean> {
    const known = [...this.#organizations].sort(([one], [other]) => (one < other ? -1 : 1));
    const services = await this.#servicesList();
    return this.#write({
      'revoked.pem': [services, ...known.map(([, { list }]) => list)].join(''),
      access: mosquittoAccess(known.flatMap(([, { shut }]) => shut)),
    });
  }

  /** Of the authority that certified this server: it has revoked nobody. */
  async #servicesList(): Promise<string> {
    const { services, clock } = this.#parts;
    if (!this.#services || clock.utcMs() - this.#services.madeAtMs > renewAfterMs) {
      const list = await issueRevocationList(services, [], clock.utcMs());
      this.#services = { madeAtMs: clock.utcMs(), list: revocationListPem(list) };
    }
    return this.#services.list;
  }

  async #write(files: Readonly<Record<string, string>>): Promise<boolean> {
    let changed = false;
    for (const [name, text] of Object.entries(files)) {
      const file = this.#at(name);
      const known = await readFile(file, 'utf8').catch(() => undefined);
      if (known === text) continue;
      await replaceSharedFile(file, Buffer.from(text));
      changed = true;
    }
    return changed;
  }

  #at(name: string): string {
    return join(this.#parts.config.broker.directory, name);
  }
}
