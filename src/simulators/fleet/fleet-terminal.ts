import { TerminalBus } from '#adapters/mqtt/terminal-bus.ts';
import { stateEveryMs, type TerminalDevice, terminalStateBytes } from '#core/sync/presence.ts';
import { checkRevocation } from '#core/sync/revocation.ts';
import { decodeSigned } from '#core/sync/signed.ts';
import type { TrustRoot } from '#core/sync/trust.ts';
import type { CancelTimer, Clock } from '#ports/clock.ts';
import type { DownMessage } from '#ports/message-bus.ts';
import type { FleetMember } from './bulk-enrolment.ts';
import type { ClockError } from './clock-error.ts';
import { FleetUpload, type FleetUploadParts } from './fleet-upload.ts';

export interface FleetTerminalParts
  extends Pick<FleetUploadParts, 'batches' | 'incarnation' | 'random' | 'nowMs' | 'stored' | 'wrong'> {
  readonly member: FleetMember;
  readonly broker: { readonly host: string; readonly port: number };
  readonly clock: Clock;
  readonly clockError: ClockError;
  readonly told: (event: FleetEvent) => void;
  /** by which it believes revocations; where absent it looks at none */
  readonly root?: TrustRoot | undefined;
  /** Holders must open nothing here from now on. */
  readonly revoked: (holders: readonly string[]) => void;
}

/** What happens to the connection of a terminal, and what it is told. */
export type FleetEvent =
  | { readonly kind: 'connected' }
  | { readonly kind: 'lost'; readonly wasConnected: boolean; readonly fault: string | undefined }
  | { readonly kind: DownMessage['kind'] };

const head = { type: 'terminal-state', format: 1 } as const;

/**
 * A terminal as its server sees it, without doors: the bus of real ones, their certificate, what they say of themselves,
 * and a journal that was made beforehand.
 */
export class FleetTerminal {
  readonly #parts: FleetTerminalParts;
  readonly #bus: TerminalBus;
  readonly #upload: FleetUpload;
  readonly #startedAtMs: number;
  readonly #revokedHolders = new Set<string>();
  #connected = false;
  #next: CancelTimer | undefined;

  constructor(parts: FleetTerminalParts) {
    this.#parts = parts;
    const { member, broker, clock, random } = parts;
    const { organization, terminal, certificates, privateKey, authority } = member;
    const identity = { organization, terminal };
    this.#startedAtMs = clock.utcMs();
    this.#bus = new TerminalBus({
      identity,
      address: broker,
      credentials: async () => ({ certificates, privateKey, authorities: authority }),
      will: { kind: 'state', payload: terminalStateBytes({ ...head, presence: 'gone', why: 'lost' }) },
      clock,
      random,
      failed: (error) => parts.wrong(String(error)),
    });
    this.#upload = new FleetUpload({
      ...parts,
      identity,
      publish: (payload) => this.#bus.publish({ kind: 'journal', payload }),
    });
  }

  start(): Promise<void> {
    const { told } = this.#parts;
    return this.#bus.start({
      received: async ({ kind, payload }) => {
        if (kind === 'ack') this.#upload.acknowledged(payload);
        if (kind === 'revocation') this.#revoked(payload);
        told({ kind });
      },
      changed: (state) => {
        if (state.kind === 'connected') this.#joined();
        else this.#left(state.fault?.code);
      },
    });
  }

  begin(): void {
    this.#upload.begin();
  }

  async stop(): Promise<void> {
    this.#left(undefined);
    await this.#bus.stop();
  }

  backlog(): number {
    return this.#upload.backlog();
  }

  /** As a real terminal: nothing counts that is not signed, and each counts once. */
  #revoked(payload: Uint8Array): void {
    const { root, wrong, revoked } = this.#parts;
    if (!root) return;
    const document = decodeSigned(payload);
    const checked = document.kind === 'accepted' ? checkRevocation(document.value, { root }) : document;
    if (checked.kind === 'refused') return wrong(`a revocation is ${checked.reason}`);
    const fresh = checked.value.holders.filter((holder) => !this.#revokedHolders.has(holder));
    for (const holder of fresh) this.#revokedHolders.add(holder);
    revoked(fresh);
  }

  #joined(): void {
    this.#connected = true;
    this.#parts.told({ kind: 'connected' });
    this.#upload.connected();
    void this.#tell();
  }

  #left(fault: string | undefined): void {
    this.#next?.();
    const wasConnected = this.#connected;
    this.#connected = false;
    if (wasConnected || fault !== undefined) this.#parts.told({ kind: 'lost', wasConnected, fault });
    this.#upload.lost();
  }

  async #tell(): Promise<void> {
    const { clock } = this.#parts;
    this.#next?.();
    this.#next = clock.after(stateEveryMs, () => void this.#tell());
    const places = { doors: ['main'], zones: [], services: [] };
    const payload = terminalStateBytes({ ...head, presence: 'here', device: this.#device(), places });
    await this.#bus.publish({ kind: 'state', payload });
  }

  #device(): TerminalDevice {
    const { member, clock, clockError } = this.#parts;
    const utcMs = Math.round(clockError.shows(clock.utcMs()));
    return {
      terminal: member.terminal,
      versions: { kazasu: 'fleet', node: process.versions.node },
      startedAtMs: this.#startedAtMs,
      clock: { utcMs, trusted: clockError.state === 'trusted', floorMs: utcMs },
      journal: { writable: true },
      doors: [{ door: 'main', state: 'closed', mode: 'normal', locked: true }],
      readers: [{ reader: 'outside', door: 'main', ready: true }],
      faults: [],
    };
  }
}
