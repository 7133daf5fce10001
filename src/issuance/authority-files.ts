import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { makeKeyFile, openKeyFile } from '#adapters/keyfile/signing.ts';
import { SystemEntropy } from '#adapters/os/entropy.ts';
import { createFile, isMissing, replaceFile } from '#adapters/process/durable-file.ts';
import { makeFolder } from '#adapters/process/ownership.ts';
import { readSecretFile } from '#adapters/process/secret-file.ts';
import { Authority } from '#adapters/x509/authority.ts';
import { certificatePem, readCertificatePem } from '#adapters/x509/pem.ts';
import { toHex } from '#core/bytes/bytes.ts';
import { Fault, isFault } from '#core/fault.ts';
import { unreadable } from '#core/file-fault.ts';
import { newCertificateSerial } from '#core/sync/certificate-serial.ts';
import type { CertificateOrder } from '#ports/certificates.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { Signing } from '#ports/signing.ts';
import type { SigningKeys } from '#ports/signing-keys.ts';
import type { Issuance } from './main.ts';

export interface AuthorityFilesParts {
  readonly directory: string;
  readonly clock: Clock;
  readonly entropy: Entropy;
  /** absent: all keys are files */
  readonly signingKeys?: SigningKeys | undefined;
}

/** What this server shows, and what it believes; PEM. */
export interface ServerCredentials {
  readonly certificates: string;
  readonly privateKey: string;
  readonly authorities: string;
}

/** Those of the server that `config` describes. */
export function authorityFilesOf({
  config,
  clock,
  signingKeys,
}: Pick<Issuance, 'config' | 'clock' | 'signingKeys'>): AuthorityFiles {
  const directory = join(config.stateDirectory, 'authorities');
  return new AuthorityFiles({ directory, clock, entropy: new SystemEntropy(), signingKeys });
}

const hourMs = 3_600_000;
const yearMs = 365 * 24 * hourMs;
const leafLifeMs = 2 * yearMs;
type Chain = readonly [Uint8Array, ...Uint8Array[]];
type Issue = (above: Authority, order: CertificateOrder) => Promise<Uint8Array>;

/**
 * The certificates of a server in `directory`, each `NAME.pem` with those above it beside `NAME.key`, as the ceremony
 * makes them. What is not there is made, where the key of the authority above is there; whoever keeps that elsewhere
 * puts the certificates here instead.
 */
export class AuthorityFiles {
  readonly #parts: AuthorityFilesParts;

  constructor(parts: AuthorityFilesParts) {
    this.#parts = parts;
  }

  get directory(): string {
    return this.#parts.directory;
  }

  /** The authority of an organization. Rejects with faults of key files, `file-unreadable`, `argument-invalid`. */
  async organization(id: string): Promise<Authority> {
    return this.#authority(`organization-${id}`, (above, order) => above.issueOrganization(id, order));
  }

  /** The authority of servers. Rejects as `organization`. */
  async services(): Promise<Authority> {
    return this.#authority('services', (above, order) => above.issueServices('Kazasu services', order));
  }

  /** What servers show to a broker where certificates are not enough; the same for all that share these files. */
  async brokerPassword(): Promise<string> {
    const file = this.#file('broker', 'key');
    if (await isMissing(file)) {
      makeFolder(this.#parts.directory);
      const made = Buffer.from(toHex(this.#parts.entropy.bytes(32)));
      // of two processes that make one at once, the first counts
      await createFile(file, made).catch((error: unknown) => {
        if (!isFault(error, 'key-refused')) throw error;
      });
    }
    return Buffer.from(await readSecretFile(file)).toString('utf8');
  }

  /** What the server shows at `hosts`. Rejects as `organization`. */
  server(hosts: readonly [string, ...string[]]): Promise<ServerCredentials> {
    const named = (own: X509Certificate) =>
      hosts.every((host) => (isIP(host) === 0 ? own.checkHost(host) : own.checkIP(host)));
    return this.#leaf('server', (above, order) => above.issueServer(hosts, order), named);
  }

  /** What the server shows to a broker. Rejects as `organization`. */
  issuance(): Promise<ServerCredentials> {
    return this.#leaf('issuance', (above, order) => above.issueIssuance(order));
  }

  /** Certificates (DER) of the platform's authority, which terminals believe. Rejects as `organization`. */
  async platform(): Promise<readonly Uint8Array[]> {
    return (await this.#chain('platform')) ?? (await this.#platform()).chain();
  }

  /** An authority below the platform's. */
  async #authority(name: string, issue: Issue): Promise<Authority> {
    const known = await this.#chain(name);
    const signing = await this.#key(name, known === undefined);
    if (known) return new Authority({ chain: known, signing });
    const above = await this.#platform();
    const chain: Chain = [
      await issue(above, this.#order(signing, { lifeMs: 10 * yearMs, backdatedMs: 2 * hourMs })),
      ...above.chain(),
    ];
    await this.#write(name, chain);
    return new Authority({ chain, signing });
  }

  async #platform(): Promise<Authority> {
    const known = await this.#chain('platform');
    const signing = await this.#key('platform', known === undefined);
    if (known) return new Authority({ chain: known, signing });
    const order = this.#order(signing, { lifeMs: 20 * yearMs, backdatedMs: 24 * hourMs });
    const platform = await Authority.makePlatform('Kazasu', signing, order);
    await this.#write('platform', platform.chain());
    return platform;
  }

  /** Made anew where it is in the second half of its life, so that it serves for a year from a start, or does not fit. */
  async #leaf(
    name: string,
    issue: Issue,
    fits: (own: X509Certificate) => boolean = () => true,
  ): Promise<ServerCredentials> {
    let chain = await this.#chain(name);
    const { clock } = this.#parts;
    const own = chain && new X509Certificate(chain[0]);
    const halfMs = own && (Date.parse(own.validFrom) + Date.parse(own.validTo)) / 2;
    const signing = await this.#key(name, chain === undefined);
    if (!chain || !own || !halfMs || clock.utcMs() > halfMs || !fits(own)) {
      const services = await this.services();
      const order = this.#order(signing, { lifeMs: leafLifeMs, backdatedMs: hourMs });
      chain = [await issue(services, order), ...services.chain()];
      await this.#write(name, chain);
    }
    const pkcs8 = await readSecretFile(this.#file(name, 'key'));
    const key = createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' });
    pkcs8.fill(0);
    return {
      certificates: certificatePem(...chain.slice(0, -1)),
      privateKey: key.export({ format: 'pem', type: 'pkcs8' }).toString(),
      authorities: certificatePem(...chain.slice(-1)),
    };
  }

  /** One whose certificate is there but not its key is kept elsewhere, and signs nothing here. */
  async #key(name: string, make: boolean): Promise<Signing> {
    const organization = /^organization-(.+)$/.exec(name)?.[1];
    const { signingKeys } = this.#parts;
    if (organization !== undefined && signingKeys?.holds('organization')) {
      const key = await signingKeys.key(organization, 'organization', make);
      if (key) return key;
      throw new Fault('key-unavailable', `the token has no key of the authority of ${organization}`);
    }
    const file = this.#file(name, 'key');
    if (!make || !(await isMissing(file))) return openKeyFile(file);
    makeFolder(this.#parts.directory);
    return makeKeyFile(file);
  }

  async #chain(name: string): Promise<Chain | undefined> {
    const file = this.#file(name, 'pem');
    if (await isMissing(file)) return undefined;
    const text = await readFile(file, 'utf8').catch((error: unknown) => {
      throw unreadable(file, error);
    });
    const [own, ...above] = readCertificatePem(text);
    if (!own) throw new Fault('file-unreadable', `${file} has no certificate (PEM)`);
    return [own, ...above];
  }

  #order(
    signing: Signing,
    { lifeMs, backdatedMs }: { readonly lifeMs: number; readonly backdatedMs: number },
  ): CertificateOrder {
    const { clock, entropy } = this.#parts;
    const nowMs = clock.utcMs();
    return {
      publicKey: signing.publicKey(),
      serialNumber: newCertificateSerial(entropy.bytes(16)),
      notBeforeMs: nowMs - backdatedMs,
      notAfterMs: nowMs + lifeMs,
    };
  }

  #write(name: string, chain: Chain): Promise<void> {
    return replaceFile(this.#file(name, 'pem'), Buffer.from(certificatePem(...chain)));
  }

  #file(name: string, kind: 'key' | 'pem'): string {
    return join(this.#parts.directory, `${name}.${kind}`);
  }
}
