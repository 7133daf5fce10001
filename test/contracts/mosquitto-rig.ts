import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mosquittoAccess, mosquittoConfig } from '#adapters/broker/mosquitto-config.ts';
import { revocationListPem } from '#adapters/x509/pem.ts';
import { brokerUsername, type TerminalIdentity } from '#core/sync/terminal-identity.ts';
import type { RevokedCertificate } from '#ports/certificates.ts';
import { freePort } from '../free-port.ts';
import type { TestPki } from '../trust/test-pki.ts';

/** Debian's mosquitto with the configuration made here. */
export class MosquittoRig {
  readonly #pki: TestPki;
  readonly #folder = mkdtempSync(join(tmpdir(), 'kazasu-mosquitto-'));
  readonly #revoked = new Map<string, RevokedCertificate[]>();
  readonly #shut: string[] = [];
  #lists = 0;
  #process: ChildProcess | undefined;
  #port = 0;
  #log = '';

  constructor(pki: TestPki) {
    this.#pki = pki;
  }

  async start(): Promise<void> {
    if (this.#port === 0) {
      this.#port = await freePort();
      await this.#writeFiles();
    }
    const child = spawn('mosquitto', ['-c', join(this.#folder, 'mosquitto.conf')], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#process = child;
    this.#log = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#log += text;
    });
    await this.#logged(/running/);
  }

  port(): number {
    return this.#port;
  }

  async revoke({
    serialNumber,
    identity,
  }: {
    serialNumber: string;
    identity: TerminalIdentity;
  }): Promise<void> {
    const list = this.#revoked.get(identity.organization) ?? [];
    list.push({ serialNumber, revokedAtMs: Date.now(), reason: 'key-compromise' });
    this.#revoked.set(identity.organization, list);
    this.#shut.push(brokerUsername(identity));
    await this.#writeFiles();
    this.#log = '';
    this.#process?.kill('SIGHUP');
    await this.#logged(/Reloading config/);
  }

  /** With what it holds in memory. */
  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (!child || child.exitCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #writeFiles(): Promise<void> {
    const { server, authorities, services, organizations } = this.#pki;
    const file = (name: string, content: string): string => {
      const path = join(this.#folder, name);
      writeFileSync(path, content);
      return path;
    };
    chmodSync(this.#folder, 0o755);
    this.#lists += 1;
    const lists: string[] = [];
    for (const [name, authority] of [
      ['', services] as const,
      ...[...organizations].map(([organization, pki]) => [organization, pki.authority] as const),
    ]) {
      const list = await authority.issueRevocationList({
        revoked: this.#revoked.get(name) ?? [],
        number: this.#lists,
        thisUpdateMs: Date.now() - 60_000,
        nextUpdateMs: Date.now() + 86_400_000,
      });
      lists.push(revocationListPem(list));
    }
    const config = mosquittoConfig({
      address: '127.0.0.1',
      port: this.#port,
      certificates: file('server.pem', server.certificates),
      privateKey: file('server-key.pem', server.privateKey),
      authorities: file('authorities.pem', authorities),
      revocationLists: file('revoked.pem', lists.join('')),
      access: file('access', mosquittoAccess(this.#shut)),
    });
    // what a system's own unit does not need: it starts mosquitto as root, which then becomes its own user
    file('mosquitto.conf', process.getuid?.() === 0 ? `${config}user root\n` : config);
  }

  async #logged(pattern: RegExp): Promise<void> {
    const child = this.#process;
    if (!child?.stderr) throw new Error('mosquitto does not run');
    while (!pattern.test(this.#log)) {
      if (child.exitCode !== null) throw new Error(`mosquitto ended: ${this.#log}`);
      await Promise.race([once(child.stderr, 'data'), once(child, 'exit')]);
    }
  }
}
