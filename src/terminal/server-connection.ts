import { join } from 'node:path';
import type { Logger } from 'pino';
import { IdentityFiles } from '#adapters/keyfile/identity-files.ts';
import { openDeviceKey } from '#adapters/keyfile/signing.ts';
import { certificatePem } from '#adapters/x509/pem.ts';
import { fromBase64 } from '#core/bytes/base64.ts';
import type { TerminalConfig } from '#core/config/terminal-config.ts';
import { isFault } from '#core/fault.ts';
import type { DeviceIdentity } from '#core/sync/device-identity.ts';
import type { DownKind } from '#core/sync/topics.ts';
import type { Clock } from '#ports/clock.ts';
import { CertificateRenewal } from './certificate-renewal.ts';
import { Enrolment } from './enrolment.ts';
import { type DownHandlers, type LinkParticipant, lastWill, ServerLink } from './server-link.ts';
import type { Terminal } from './terminal.ts';

export interface ServerConnectionParts {
  readonly config: Pick<TerminalConfig, 'terminal' | 'stateDirectory'>;
  readonly terminal: Terminal;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Connects a terminal that is enrolled with its server, and renews its certificate. Never rejects: a terminal that
 * cannot be connected serves its doors all the same. What it resolves to ends that.
 */
export async function connectServer(parts: ServerConnectionParts): Promise<() => Promise<void>> {
  try {
    return await connect(parts);
  } catch (error) {
    if (!isFault(error)) throw error;
    parts.log.error({ fault: error.code }, `not connected to the server: ${error.message}`);
    return async () => undefined;
  }
}

async function connect({
  config,
  terminal,
  clock,
  log,
}: ServerConnectionParts): Promise<() => Promise<void>> {
  const store = new IdentityFiles(join(config.stateDirectory, 'identity'));
  let identity = await store.identity();
  if (!identity) return async () => undefined;
  if (identity.terminal !== config.terminal) {
    const names = { enrolled: identity.terminal, configured: config.terminal };
    log.error(names, 'not connected to the server: this device is enrolled as another terminal');
    return async () => undefined;
  }
  const [broker] = identity.brokers;
  if (!broker) return async () => undefined;
  // 19 MB that a terminal without a server does not need
  const { TerminalBus } = await import('#adapters/mqtt/terminal-bus.ts');
  const { HttpsIssuanceClient } = await import('#adapters/https/issuance-client.ts');
  const current = (): DeviceIdentity => identity as DeviceIdentity;
  const bus = new TerminalBus({
    identity: { organization: identity.organization, terminal: identity.terminal },
    address: broker,
    credentials: async () => credentialsOf(current()),
    will: lastWill(),
    clock,
    random: Math.random,
    failed: (error) => log.error({ err: error }, 'a message of the server was lost'),
  });
  const renewal = new CertificateRenewal(identity, {
    enrolment: new Enrolment({
      store,
      client: new HttpsIssuanceClient(),
      makeKey: async () => (await import('#adapters/x509/certificate-request.ts')).makeCertificateKey(),
      deviceKey: await openDeviceKey(config.stateDirectory),
    }),
    clock,
    random: Math.random,
    log,
    renewed: (next) => {
      identity = next;
    },
  });
  const { handlers, participants } = dealings(terminal);
  const link = new ServerLink({ bus, terminal, clock, log, handlers, participants });
  await link.start();
  renewal.start();
  return async () => {
    renewal.stop();
    await link.stop();
  };
}

/** What a terminal and its server have to do with each other besides saying how it is. */
function dealings({ policySync }: Terminal): {
  readonly handlers: DownHandlers;
  readonly participants: readonly LinkParticipant[];
} {
  const handlers = new Map<DownKind, (payload: Uint8Array) => Promise<void>>();
  if (policySync) {
    handlers.set('manifest', async (payload) => policySync.manifestReceived(payload));
    handlers.set('revocation', async (payload) => policySync.revocationReceived(payload));
  }
  return { handlers, participants: [] };
}

function credentialsOf({ certificates, privateKey, authority }: DeviceIdentity) {
  const der = (text: string): Uint8Array => fromBase64(text) ?? new Uint8Array();
  return {
    // the last is the platform's, which the other side has
    certificates: certificatePem(...certificates.slice(0, -1).map(der)),
    privateKey,
    authorities: certificatePem(der(authority)),
  };
}
