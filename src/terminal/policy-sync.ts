import { type Fault, type FaultCode, isFault } from '#core/fault.ts';
import { refused } from '#core/sync/document.ts';
import { checkManifest, hasSameContent, type Manifest } from '#core/sync/manifest.ts';
import { decodeManifestMessage, type ManifestMessage } from '#core/sync/manifest-message.ts';
import { retryAfterMs } from '#core/sync/retry.ts';
import { decodeSigned, encodeSigned } from '#core/sync/signed.ts';
import type { CancelTimer } from '#ports/clock.ts';
import type { SyncTarget } from '#ports/policy-sync.ts';
import { higherFact, installedKey } from './distribution-trust.ts';
import { IntegrityWatch } from './integrity-watch.ts';
import type { PolicySyncParts, PolicySyncStatus } from './policy-distribution.ts';
import { PolicyFetch } from './policy-fetch.ts';
import { RefusalLog } from './refusal-log.ts';
import { Revocations } from './revocations.ts';
import { RootRenewal } from './root-renewal.ts';

/** A manifest that is believed and not in force yet. */
interface Pending extends SyncTarget {
  readonly message: ManifestMessage;
}

/** how long until a start that failed is tried again */
const startAgainMs = 60_000;

/**
 * Keeps the policy of this terminal as the server has it. Documents may come in any order, late, twice or forged: none
 * takes the policy back. The newest manifest that is believed is brought in force; one that comes meanwhile takes its
 * place, and what was fetched for both is kept. What fails is tried again, later each time.
 */
export class PolicySyncing {
  readonly #parts: PolicySyncParts;
  readonly #fetch: PolicyFetch;
  readonly #roots: RootRenewal;
  readonly #refusals: RefusalLog;
  readonly #revocations: Revocations;
  readonly #watch: IntegrityWatch;
  #installed: SyncTarget | undefined;
  #pending: Pending | undefined;
  #working: Promise<void> | undefined;
  #cancelPause: (() => void) | undefined;
  #cancelStart: CancelTimer | undefined;
  #startFault: FaultCode | undefined;
  #failures = 0;
  #started = false;

  constructor(parts: PolicySyncParts) {
    this.#parts = parts;
    this.#fetch = new PolicyFetch({ ...parts, pause: (ms) => this.#pause(ms) });
    this.#roots = new RootRenewal({ ...parts, store: parts.roots });
    this.#refusals = new RefusalLog(parts);
    this.#revocations = new Revocations(parts);
    this.#watch = new IntegrityWatch({ ...parts, found: (fault) => this.#foundAltered(fault) });
  }

  /**
   * Never rejects for a fault: a terminal without its roots, or a disk that takes anything, goes on. It denies, lets
   * people out, says so, and tries again.
   */
  async start(): Promise<void> {
    const { sync, clock } = this.#parts;
    this.#started = true;
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
    trust.onFound((fault) => this.#foundAltered(fault));
    await this.#revocations.load();
    await this.#lookAtInstalled();
    this.#watch.start();
  }

  async stop(): Promise<void> {
    this.#started = false;
    this.#pending = undefined;
    this.#cancelStart?.();
    this.#watch.stop();
    this.#cancelPause?.();
    await this.#working;
    await this.#parts.sync.stop();
  }

  status(): PolicySyncStatus {
    const { trust } = this.#parts;
    const lastRefusal = this.#refusals.last();
    return {
      ...(this.#installed && { installed: stateOf(this.#installed.manifest) }),
      ...(this.#pending && { fetching: this.#pending.manifest.version }),
      ...(trust.hasRoot() && { rootVersion: trust.root().version }),
      altered: this.#watch.isAltered(),
      ...(lastRefusal && { lastRefusal }),
    };
  }

  /** Takes a manifest as the server sent it; resolves once it is refused, or is going to be brought in force. */
  async manifestReceived(bytes: Uint8Array): Promise<void> {
    const read = decodeManifestMessage(bytes);
    if (read.kind === 'refused') return this.#refusals.add('manifest', read.reason);
    const { manifest: document } = read.value;
    let checked = this.#check(document);
    // signed by keys that this terminal has not heard of yet, perhaps
    const strange = checked.kind === 'refused' && checked.reason === 'signatures-insufficient';
    const newer = checked.kind === 'accepted' && checked.value.rootVersion > this.#parts.trust.root().version;
    if (strange || newer) {
      await this.#renewRoots();
      checked = this.#check(document);
    }
    if (checked.kind === 'refused') return this.#refusals.add('manifest', checked.reason);
    const manifest = checked.value;
    this.#pending = { document: encodeSigned(document), manifest, message: read.value };
    this.#failures = 0;
    this.#cancelPause?.();
    this.#workSoon();
  }

  /** Takes a revocation as the server sent it: it counts when this resolves, and is on the disk. */
  async revocationReceived(bytes: Uint8Array): Promise<void> {
    const refusal = await this.#revocations.received(bytes, this.#installed?.manifest);
    if (refusal) this.#refusals.add('revocation', refusal);
    else this.#parts.changed();
  }

  #check(document: ManifestMessage['manifest']) {
    const { trust, terminal } = this.#parts;
    const known = this.#pending?.manifest ?? this.#installed?.manifest;
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

  async #renewRoots(): Promise<void> {
    const { trust, journal } = this.#parts;
    const renewed = await this.#roots.renew();
    if (renewed.refusal) this.#refusals.add('root', renewed.refusal);
    if (renewed.changed)
      journal.note({ kind: 'policy', body: { event: 'root', version: trust.root().version } });
  }

  #workSoon(): void {
    if (!this.#started || this.#working || !this.#pending) return;
    this.#working = this.#work().finally(() => {
      this.#working = undefined;
      this.#workSoon();
    });
  }

  async #work(): Promise<void> {
    while (this.#started && this.#pending) {
      const pending = this.#pending;
      try {
        const done = await this.#bring(pending);
        if (done && this.#pending === pending) this.#pending = undefined;
        if (done) this.#failures = 0;
      } catch (error) {
        await this.#recover(error);
      }
    }
  }

  /** Whether there is nothing left to do for it. */
  async #bring(pending: Pending): Promise<boolean> {
    const isCurrent = () => this.#started && this.#pending === pending;
    const fetched = await this.#fetch.fetch(pending, isCurrent);
    if (fetched.kind === 'superseded') return false;
    if (fetched.kind === 'refused') this.#refusals.add('chunk', fetched.reason);
    if (fetched.kind !== 'complete') {
      await this.#later(fetched.kind);
      return false;
    }
    const { nowMs } = this.#now();
    // it took long to come, or the clock was put right
    if (nowMs >= pending.manifest.expiresAtMs) {
      this.#refusals.add('manifest', 'expired');
      return true;
    }
    const outcome = await this.#parts.sync.install(pending, nowMs);
    if (outcome.kind === 'refused') {
      this.#refusals.add('manifest', outcome.reason);
      return true;
    }
    if (outcome.kind === 'incomplete') {
      await this.#parts.sync.repair();
      return false;
    }
    await this.#inForce(pending, outcome.bucketsChanged);
    return true;
  }

  async #inForce({ document, manifest }: SyncTarget, bucketsChanged: number): Promise<void> {
    const { trust, memory, journal, log, changed } = this.#parts;
    const before = this.#installed?.manifest;
    this.#installed = { document, manifest };
    this.#watch.follow(manifest);
    this.#watch.setAltered(false);
    trust.dropRevoked(manifest.changeNumber);
    await this.#roots.settle();
    changed();
    const { version, changeNumber, issuedAtMs, holders } = manifest;
    log.info({ version, changeNumber, holders, bucketsChanged }, 'policy in force');
    // said again, later: nothing that a record would tell
    if (before && before.version === version && hasSameContent(before, manifest)) return;
    journal.note({
      kind: 'policy',
      body: { event: 'installed', version, changeNumber, issuedAtMs, holders, bucketsChanged },
      facts: memory.declare((state) => [higherFact(state, installedKey, version)]),
    });
  }

  /** What went wrong is tried again after a while; what was found changed on the device is thrown away first. */
  async #recover(error: unknown): Promise<void> {
    const { sync, log } = this.#parts;
    try {
      if (isFault(error, 'policy-altered')) await sync.repair();
      if (isFault(error, 'database-invalid')) {
        await sync.stop();
        await sync.start();
      }
    } catch (again) {
      log.error({ err: again }, 'the policy database cannot be mended yet');
    }
    await this.#later(isFault(error) ? error.code : String(error));
  }

  async #later(why: string): Promise<void> {
    const { log, chance } = this.#parts;
    this.#failures += 1;
    log.warn({ why, failures: this.#failures }, 'the policy could not be brought in force yet');
    await this.#pause(retryAfterMs(this.#failures, chance()));
  }

  /** Cut short by a newer manifest, and at the end. */
  #pause(ms: number): Promise<void> {
    if (!this.#started) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.#parts.clock.after(ms, resolve);
      this.#cancelPause = () => {
        cancel();
        resolve();
      };
    });
  }

  async #lookAtInstalled(): Promise<void> {
    const { sync, trust } = this.#parts;
    const document = await sync.installed();
    if (!document) return;
    try {
      const manifest = trust.vouch(document);
      this.#installed = { document, manifest };
      this.#watch.follow(manifest);
      trust.checkCurrent(manifest);
    } catch (error) {
      if (!isFault(error, 'policy-altered')) throw error;
      this.#foundAltered(error);
    }
  }

  /** It opens nothing any more where it was changed; all of it is put together anew, from the manifest last in force. */
  #foundAltered(fault: Fault): void {
    if (!this.#started) return;
    this.#watch.setAltered(true, fault);
    const installed = this.#installed;
    // an older one is not brought in force again: the server sends the newest at each connection
    if (this.#pending || !installed || !this.#parts.trust.isCurrent(installed.manifest)) return;
    const read = decodeSigned(installed.document);
    if (read.kind === 'refused') return;
    this.#pending = { ...installed, message: { manifest: read.value, changes: [], chunks: [] } };
    this.#installed = undefined;
    this.#watch.follow(undefined);
    this.#working ??= this.#recover(fault).finally(() => {
      this.#working = undefined;
      this.#workSoon();
    });
  }
}

function stateOf({ version, changeNumber, issuedAtMs, expiresAtMs }: Manifest) {
  return { version, changeNumber, issuedAtMs, expiresAtMs };
}
