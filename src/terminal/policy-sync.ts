import { type Fault, type FaultCode, isFault } from '#core/fault.ts';
import { type DocumentRefusal, refused } from '#core/sync/document.ts';
import { checkManifest, type Manifest } from '#core/sync/manifest.ts';
import { decodeManifestMessage, type ManifestMessage } from '#core/sync/manifest-message.ts';
import type { PolicyStatus } from '#core/sync/presence.ts';
import { encodeSigned } from '#core/sync/signed.ts';
import type { TrustRoot } from '#core/sync/trust.ts';
import type { CancelTimer } from '#ports/clock.ts';
import type { PolicySyncParts } from './policy-distribution.ts';
import { PolicyInForce } from './policy-in-force.ts';
import { RefusalLog } from './refusal-log.ts';
import { Revocations } from './revocations.ts';
import { RootRenewal } from './root-renewal.ts';
import { mayBeOfLaterRoot, type ToldDocument, WaitingDocuments } from './waiting-documents.ts';

/** how long until a start that failed is tried again */
const startAgainMs = 60_000;

/**
 * Keeps the policy of this terminal as the server has it. Documents may come in any order, late, twice or forged: none
 * takes the policy back, and none waits for another.
 */
export class PolicySyncing {
  readonly #parts: PolicySyncParts;
  readonly #roots: RootRenewal;
  readonly #refusals: RefusalLog;
  readonly #revocations: Revocations;
  readonly #waiting: WaitingDocuments;
  readonly #inForce: PolicyInForce;
  #cancelStart: CancelTimer | undefined;
  #startFault: FaultCode | undefined;
  #renewing: Promise<void> | undefined;

  constructor(parts: PolicySyncParts) {
    this.#parts = parts;
    this.#roots = new RootRenewal({ ...parts, store: parts.roots });
    this.#refusals = new RefusalLog(parts);
    this.#revocations = new Revocations(parts);
    this.#waiting = new WaitingDocuments({
      clock: parts.clock,
      waitMs: () => this.#roots.waitMs(),
      ask: () => this.renewRoots(),
      take: (told, isLast) => this.#take(told, isLast),
    });
    this.#inForce = new PolicyInForce({
      ...parts,
      refusals: this.#refusals,
      nowMs: () => this.#now().nowMs,
      follow: async ({ document, manifest }) => {
        parts.trust.dropRevoked(manifest);
        this.#revocations.dropped(manifest);
        await this.#roots.settle(document);
      },
    });
  }

  /**
   * Never rejects for a fault: a terminal without its roots, or a disk that takes anything, goes on. It denies, lets
   * people out, says so, and tries again.
   */
  async start(): Promise<void> {
    const { sync, clock } = this.#parts;
    try {
      await this.#open();
      this.#tellStart(undefined);
    } catch (error) {
      if (!isFault(error)) throw error;
      this.#tellStart(error);
      await sync.stop();
      this.#cancelStart = clock.after(startAgainMs, () => void this.start());
    }
  }

  /** Once when it fails, and once when it no longer does. */
  #tellStart(fault: Fault | undefined): void {
    if (fault?.code === this.#startFault) return;
    this.#startFault = fault?.code;
    const { journal, log } = this.#parts;
    const told = { alarm: 'policy-sync', on: fault !== undefined };
    journal.note({ kind: 'alarm', body: { ...told, ...(fault && { fault: fault.code }) } });
    if (fault) log.error({ fault: fault.code }, fault.message);
  }

  async #open(): Promise<void> {
    const { sync, trust, memory } = this.#parts;
    trust.rememberBy((key) => memory.shared(key));
    await this.#roots.load();
    await sync.start();
    await this.#revocations.load();
    await this.#inForce.start();
    this.#waiting.open();
  }

  async stop(): Promise<void> {
    this.#cancelStart?.();
    this.#waiting.close();
    await this.#inForce.stop();
    await this.#revocations.stop();
    await this.#parts.sync.stop();
  }

  status(): PolicyStatus {
    const { trust } = this.#parts;
    const lastRefusal = this.#refusals.last();
    const [installed, pending] = [this.#inForce.installed(), this.#inForce.pending()];
    return {
      ...(installed && { installed: stateOf(installed) }),
      reached: trust.seen(installed),
      ...(pending && { fetching: pending.version }),
      ...(trust.hasRoot() && { rootVersion: trust.root().version }),
      altered: this.#inForce.isAltered(),
      ...(lastRefusal && { lastRefusal }),
    };
  }

  /** Takes a manifest as the server sent it; it is brought in force by and by. */
  manifestReceived(bytes: Uint8Array): void {
    this.#take({ of: 'manifest', bytes });
  }

  /** Takes a revocation as the server sent it: it counts when this returns, if it can be believed by then. */
  revocationReceived(bytes: Uint8Array): void {
    this.#take({ of: 'revocation', bytes });
  }

  /** What is not believed by the roots known here waits for later ones, but not after the last time. */
  #take(told: ToldDocument, isLast = false): void {
    if (!this.#waiting.isOpen()) {
      this.#waiting.add(told);
      return;
    }
    const refusal = told.of === 'manifest' ? this.#takeManifest(told) : this.#takeRevocation(told);
    if (!refusal) return;
    if (!isLast && mayBeOfLaterRoot(refusal)) this.#waiting.add(told);
    else this.#refusals.add(told.of, refusal);
  }

  #takeManifest({ bytes }: ToldDocument): DocumentRefusal | undefined {
    const read = decodeManifestMessage(bytes);
    if (read.kind === 'refused') return read.reason;
    const checked = this.#check(read.value.manifest);
    if (checked.kind === 'refused') return checked.reason;
    const document = encodeSigned(read.value.manifest);
    this.#inForce.bring({ document, manifest: checked.value }, read.value);
    return undefined;
  }

  #takeRevocation({ bytes }: ToldDocument): DocumentRefusal | undefined {
    const refusal = this.#revocations.take(bytes, this.#inForce.installed());
    if (!refusal) this.#parts.changed();
    return refusal;
  }

  /** Whom this terminal believes. Throws `policy-altered` where that cannot be read. */
  root(): TrustRoot {
    return this.#parts.trust.root();
  }

  #check(document: ManifestMessage['manifest']) {
    const { trust, terminal } = this.#parts;
    const known = this.#inForce.pending() ?? this.#inForce.installed();
    const checked = checkManifest(document, { root: trust.root(), terminal, known, ...this.#now() });
    if (checked.kind === 'refused') return checked;
    // what lies on the device may have been put back, and know less than the journal
    return trust.isCurrent(checked.value) ? checked : refused('older');
  }

  #now(): { readonly nowMs: number; readonly clock: 'trusted' | 'untrusted' } {
    const { clock, journal } = this.#parts;
    const utcMs = clock.utcMs();
    return clock.trusted()
      ? { nowMs: utcMs, clock: 'trusted' }
      : { nowMs: Math.max(utcMs, journal.floorMs()), clock: 'untrusted' };
  }

  /** Asks for the roots that follow, where that is not too soon; never rejects. */
  async renewRoots(): Promise<void> {
    if (!this.#renewing && this.#roots.waitMs() > 0) return;
    this.#renewing ??= this.#followRoots().finally(() => {
      this.#renewing = undefined;
    });
    await this.#renewing;
  }

  async #followRoots(): Promise<void> {
    const { trust, journal } = this.#parts;
    const renewed = await this.#roots.renew();
    if (renewed.refusal) this.#refusals.add('root', renewed.refusal);
    if (!renewed.changed) return;
    journal.note({ kind: 'policy', body: { event: 'root', version: trust.root().version } });
    this.#inForce.rootChanged();
  }
}

function stateOf({ rootVersion, version, changeNumber, issuedAtMs, expiresAtMs }: Manifest) {
  return { rootVersion, version, changeNumber, issuedAtMs, expiresAtMs };
}
