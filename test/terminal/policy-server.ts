import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { IdentityFiles } from '#adapters/keyfile/identity-files.ts';
import { MqttIntake } from '#adapters/mqtt/mqtt-intake.ts';
import { SystemClock } from '#adapters/os/clock.ts';
import type { SiteRules } from '#core/access/site-rules.ts';
import { toBase64 } from '#core/bytes/base64.ts';
import { encodeSigned } from '#core/sync/signed.ts';
import type { DownKind } from '#core/sync/topics.ts';
import { EmbeddedBrokerRig } from '../contracts/embedded-broker-rig.ts';
import { Seen } from '../contracts/seen.ts';
import { rootContent, signRoot } from '../core/sync/keys.ts';
import { PolicyIssuer } from '../policy-issuer.ts';
import { makePki, organizationPki, type TestPki, terminalCredentials } from '../trust/test-pki.ts';

const lobby = { organization: 'city', terminal: 'lobby' };

/** What a terminal believes to be its server, in the hands of a test: broker, HTTPS, and whoever signs. */
export class PolicyServer {
  readonly issuer: PolicyIssuer;
  /** what becomes of the parts of a policy on their way */
  onTheWay: (bytes: Uint8Array) => Uint8Array = (bytes) => bytes;
  readonly #pki: TestPki;
  readonly #broker: EmbeddedBrokerRig;
  #intake: MqttIntake | undefined;
  #https: Server | undefined;
  #url = '';

  private constructor(pki: TestPki, rules: SiteRules) {
    this.#pki = pki;
    this.issuer = new PolicyIssuer({ terminal: 'lobby', rules });
    this.#broker = new EmbeddedBrokerRig(pki);
  }

  static async start(rules: SiteRules): Promise<PolicyServer> {
    const server = new PolicyServer(await makePki(), rules);
    await server.#begin();
    return server;
  }

  async stop(): Promise<void> {
    await this.#intake?.stop();
    await this.#broker.stop();
    this.#https?.closeAllConnections();
    this.#https?.close();
  }

  /** Makes the device of `stateDirectory` the terminal `lobby`, as enrolling it does. */
  async enrol(stateDirectory: string): Promise<void> {
    const { certificate, privateKey } = await terminalCredentials(this.#pki, lobby);
    const chain = [certificate, ...organizationPki(this.#pki, 'city').authority.chain()];
    await new IdentityFiles(join(stateDirectory, 'identity')).saveIdentity({
      ...{ type: 'device-identity', format: 1, ...lobby, privateKey },
      servers: [this.#url],
      authority: toBase64(this.#pki.platform.chain()[0]),
      trustRoot: toBase64(encodeSigned(await signRoot(rootContent()))),
      certificates: chain.map(toBase64),
      brokers: [{ host: 'localhost', port: this.#broker.port() }],
      ...{ notBeforeMs: Date.now() - 1_000, notAfterMs: Date.now() + 300 * 86_400_000 },
    });
  }

  /** Sends the terminal a message; what is retained it gets again at each connection. */
  async tell(kind: DownKind, payload: Uint8Array, { retain = false } = {}): Promise<void> {
    await this.#intake?.publish({ to: lobby, kind, payload, ...(retain && { retain: true }) });
  }

  async #begin(): Promise<void> {
    await this.#broker.start();
    const { certificates: cert, privateKey: key } = this.#pki.server;
    const https = createServer(
      { cert, key, ca: this.#pki.authorities, requestCert: true, minVersion: 'TLSv1.3' },
      (request, response) => {
        const [kind = '', name = ''] = (request.url ?? '').split('/').slice(-2);
        const bytes =
          kind === 'roots' ? this.issuer.newRoots[Number(name) - 2] : this.issuer.chunks.get(name);
        if (bytes) response.end(kind === 'roots' ? bytes : this.onTheWay(bytes));
        else response.writeHead(404).end();
      },
    );
    https.listen(0, '127.0.0.1');
    await once(https, 'listening');
    this.#https = https;
    this.#url = `https://localhost:${(https.address() as AddressInfo).port}`;
    this.#intake = new MqttIntake({
      address: { host: 'localhost', port: this.#broker.port() },
      credentials: async () => this.#pki.issuance,
      clock: new SystemClock(),
      random: Math.random,
      failed: () => undefined,
    });
    const states = new Seen<{ kind: string }>();
    await this.#intake.start({ consume: async () => undefined, changed: states.add });
    await states.until((all) => all.some(({ kind }) => kind === 'connected'));
  }
}
