import { join } from 'node:path';
import type { Logger } from 'pino';
import { HttpsChunkSource } from '#adapters/https/chunk-source.ts';
import { IdentityFiles, identityFolder } from '#adapters/keyfile/identity-files.ts';
import { openDeviceKey } from '#adapters/keyfile/signing.ts';
import { TrustFile } from '#adapters/keyfile/trust-file.ts';
import { SystemEntropy } from '#adapters/os/entropy.ts';
import { JournalOutboxStore } from '#adapters/sqlite/journal-outbox-store.ts';
import { PolicySyncStore } from '#adapters/sqlite/policy-sync-store.ts';
import { certificatePem } from '#adapters/x509/pem.ts';
import { fromBase64 } from '#core/bytes/base64.ts';
import type { TerminalConfig } from '#core/config/terminal-config.ts';
import { Fault, isFault } from '#core/fault.ts';
import type { DeviceIdentity } from '#core/sync/device-identity.ts';
import type { DownKind } from '#core/sync/topics.ts';
import type { Clock } from '#ports/clock.ts';
import type { JournalAppend } from '#ports/journal-append.ts';
import type { JournalKeeping } from '#ports/journal-keeping.ts';
import type { MessageBus } from '#ports/message-bus.ts';
import type { TrustStore } from '#ports/trust-store.ts';
import { CertificateRenewal } from './certificate-renewal.ts';
import { DistributionTrust } from './distribution-trust.ts';
import { Enrolment } from './enrolment.ts';
import { JournalTransfer } from './journal-transfer.ts';
import type { PolicyDistribution } from './policy-distribution.ts';
import { ServerCommands } from './server-commands.ts';
import { type DownHandlers, type LinkParticipant, lastWill, ServerLink } from './server-link.ts';
import type { Terminal } from './terminal.ts';

export interface ServerConnectionParts {
  readonly config: Pick<TerminalConfig, 'terminal' | 'stateDirectory' | 'journal'>;
  readonly journal: Pick<JournalAppend, 'space'> & JournalKeeping;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Where a device in `stateDirectory` keeps who it is, and whom it believes; `pinned` came with its enrolment. */
export function identityStores(
  stateDirectory: string,
  pinned?: string,
): { readonly store: IdentityFiles; readonly roots: TrustStore } {
  const directory = identityFolder(stateDirectory);
  const first = pinned === undefined ? undefined : fromBase64(pinned);
  const roots = new TrustFile({ file: join(directory, 'trust-roots.json'), pinned: first });
  return { store: new IdentityFiles(directory), roots };
}

/**
 * What connects this device with its server; undefined where no server looks after it. Where it cannot be read who it
 * is, it is not connected, and believes what its policy was signed as: that is no reason to believe anybody else.
 */
export async function openServerConnection(
  parts: ServerConnectionParts,
): Promise<ServerConnection | undefined> {
  const { store } = identityStores(parts.config.stateDirectory);
  try {
    const identity = await store.identity();
    return identity && new ServerConnection(parts, identity);
  } catch (error) {
    if (!isFault(error)) throw error;
    parts.log.error({ fault: error.code }, `not connected to the server: ${error.message}`);
    return new ServerConnection(parts, undefined);
  }
}

/** An enrolled device and its server: what it takes its policy by, the link, the renewal of its certificate. */
export class ServerConnection {
  /** by what the terminal takes its policy, and whom look-ups of it believe */
  readonly distribution: PolicyDistribution;
  readonly #parts: ServerConnectionParts;
  #identity: DeviceIdentity | undefined;
  #ends: (() => Promise<void>) | undefined;

  constructor(parts: ServerConnectionParts, identity: DeviceIdentity | undefined) {
    const { config, clock } = parts;
    this.#parts = parts;
    this.#identity = identity;
    this.distribution = {
      sync: new PolicySyncStore({ file: join(config.stateDirectory, 'policy.sqlite') }),
      source: new HttpsChunkSource({ identity: () => this.#current(), clock, random: Math.random }),
      trust: new DistributionTrust({ terminal: config.terminal }),
      roots: identityStores(config.stateDirectory, identity?.trustRoot).roots,
      chance: Math.random,
    };
  }

  /** Never rejects for a fault: a terminal that cannot be connected serves its doors all the same. */
  async start(terminal: Terminal): Promise<void> {
    const { config, log } = this.#parts;
    if (!this.#identity) return;
    if (this.#identity.terminal !== config.terminal) {
      const names = { enrolled: this.#identity.terminal, configured: config.terminal };
      log.error(names, 'not connected to the server: this device is enrolled as another terminal');
      return;
    }
    try {
      this.#ends = await this.#connect(terminal, this.#identity);
    } catch (error) {
      if (!isFault(error)) throw error;
      log.error({ fault: error.code }, `not connected to the server: ${error.message}`);
    }
  }

  async stop(): Promise<void> {
    await this.#ends?.();
  }

  async #connect(terminal: Terminal, first: DeviceIdentity): Promise<() => Promise<void>> {
    const { config, journal, clock, log } = this.#parts;
    // 19 MB that a terminal without a server does not need
    const { TerminalBus } = await import('#adapters/mqtt/terminal-bus.ts');
    const identity = { organization: first.organization, terminal: first.terminal };
    const bus = new TerminalBus({
      identity,
      address: (failures) => brokerOf(this.#current(), failures),
      credentials: async () => credentialsOf(this.#current()),
      will: lastWill(),
      clock,
      random: Math.random,
      failed: (error) => log.error({ err: error }, 'a message of the server was lost'),
    });
    const transfer = new JournalTransfer({
      ...{ identity, terminal, journal, bus, clock, chance: Math.random },
      outbox: new JournalOutboxStore({ file: join(config.stateDirectory, 'journal.sqlite') }),
      retentionMs: config.journal.retention,
      log: log.child({ component: 'journal' }),
    });
    const { handlers, participants } = dealings(terminal, { bus, config, log, transfer });
    const link = new ServerLink({ bus, terminal, clock, log, handlers, participants });
    const deviceKey = await openDeviceKey(config.stateDirectory);
    const renewal = new CertificateRenewal(first, {
      enrolment: await renewing(config.stateDirectory, deviceKey),
      clock,
      random: Math.random,
      log,
      renewed: (next) => {
        this.#identity = next;
      },
    });
    await link.start();
    renewal.start();
    transfer.start();
    return async () => {
      renewal.stop();
      await Promise.all([link.stop(), transfer.stop()]);
    };
  }

  #current(): DeviceIdentity {
    if (!this.#identity) throw new Fault('server-unreachable', 'this device cannot tell who it is');
    return this.#identity;
  }
}

async function renewing(
  stateDirectory: string,
  deviceKey: Awaited<ReturnType<typeof openDeviceKey>>,
): Promise<Enrolment> {
  const { HttpsIssuanceClient } = await import('#adapters/https/issuance-client.ts');
  const { store, roots } = identityStores(stateDirectory);
  return new Enrolment({
    store,
    trust: roots,
    client: new HttpsIssuanceClient(),
    makeKey: async () => (await import('#adapters/x509/certificate-request.ts')).makeCertificateKey(),
    deviceKey,
  });
}

/** What a terminal and its server have to do with each other besides saying how it is. */
function dealings(
  { policySync, commands, group }: Terminal,
  {
    bus,
    config,
    log,
    transfer,
  }: Pick<ServerConnectionParts, 'config' | 'log'> & {
    readonly bus: Pick<MessageBus, 'publish'>;
    readonly transfer: JournalTransfer;
  },
): {
  readonly handlers: DownHandlers;
  readonly participants: readonly LinkParticipant[];
} {
  const handlers = new Map<DownKind, (payload: Uint8Array) => Promise<void>>();
  if (policySync) {
    handlers.set('manifest', async (payload) => policySync.manifestReceived(payload));
    handlers.set('revocation', async (payload) => policySync.revocationReceived(payload));
    const serverCommands = new ServerCommands({
      terminal: config.terminal,
      commands,
      root: () => policySync.root(),
      renewRoots: () => policySync.renewRoots(),
      publish: (message) => bus.publish(message),
      log,
    });
    handlers.set('command', (payload) => serverCommands.received(payload));
  }
  handlers.set('ack', (payload) => transfer.acknowledged(payload));
  if (!policySync || !group) return { handlers, participants: transfer.participants() };
  group.join({
    root: () => policySync.root(),
    publish: (message) => bus.publish(message),
    entropy: new SystemEntropy(),
  });
  handlers.set('group', (payload) => group.received(payload));
  return { handlers, participants: [...transfer.participants(), group] };
}

/** The brokers in their order, one after another for as long as none is good. */
function brokerOf({ brokers }: DeviceIdentity, failures: number): DeviceIdentity['brokers'][number] {
  const broker = brokers[failures % brokers.length];
  if (!broker) throw new Fault('broker-unreachable', 'no broker is named');
  return broker;
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
