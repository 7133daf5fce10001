import { type Fault, isFault } from '#core/fault.ts';
import { hasSameContent, type Manifest } from '#core/sync/manifest.ts';
import type { ManifestMessage } from '#core/sync/manifest-message.ts';
import { versionOf } from '#core/sync/progress.ts';
import { retryAfterMs } from '#core/sync/retry.ts';
import { decodeSigned } from '#core/sync/signed.ts';
import type { SyncTarget } from '#ports/policy-sync.ts';
import { furtherFact, installedKey } from './distribution-trust.ts';
import { IntegrityWatch } from './integrity-watch.ts';
import type { PolicySyncParts } from './policy-distribution.ts';
import { PolicyFetch } from './policy-fetch.ts';
import type { RefusalLog } from './refusal-log.ts';

/** how often a part is asked for that the server has no more: one that another of its processes has just made may come yet */
const triesForGone = 3;
/** after as many failures, about half a minute, somebody is to know */
const triesForAlarm = 5;

/** A manifest that is believed and not in force yet. */
interface Pending extends SyncTarget {
  readonly message: ManifestMessage;
  /** was in force already, and is put together anew */
  readonly anew: boolean;
}

export interface PolicyInForceParts extends PolicySyncParts {
  readonly refusals: RefusalLog;
  /** milliseconds UTC, never earlier than the time known to have passed */
  readonly nowMs: () => number;
  /** called with each manifest that comes in force, before anybody goes by it */
  readonly follow: (target: SyncTarget) => Promise<void>;
}

/**
 * The policy in force, and the next one on its way: one that comes meanwhile takes its place, and what was fetched for
 * both is kept. What fails is tried again, later each time; what is found changed or damaged on the device is put together
 * anew.
 */
export class PolicyInForce {
  readonly #parts: PolicyInForceParts;
  readonly #fetch: PolicyFetch;
  readonly #watch: IntegrityWatch;
  #installed: SyncTarget | undefined;
  #pending: Pending | undefined;
  #working: Promise<void> | undefined;
  #cancelPause: (() => void) | undefined;
  #failures = 0;
  /** an alarm stands that a policy which the server has sent does not come in force */
  #behind = false;
  #started = false;
  /** some of what is in force cannot be read, and is thrown away once there is something to take its place */
  #damaged = false;

  constructor(parts: PolicyInForceParts) {
    this.#parts = parts;
    this.#fetch = new PolicyFetch({ ...parts, pause: (ms) => this.#pause(ms) });
    this.#watch = new IntegrityWatch({ ...parts, found: (fault) => this.#foundAltered(fault) });
  }

  /** Begins with what lies on the device. Rejects with database faults. */
  async start(): Promise<void> {
    this.#started = true;
    this.#parts.trust.onFound((fault) => this.#foundAltered(fault));
    await this.#lookAtInstalled();
    this.#watch.start();
  }

  async stop(): Promise<void> {
    this.#started = false;
    this.#pending = undefined;
    this.#watch.stop();
    this.#cancelPause?.();
    await this.#working;
  }

  installed(): Manifest | undefined {
    return this.#installed?.manifest;
  }

  pending(): Manifest | undefined {
    return this.#pending?.manifest;
  }

  isAltered(): boolean {
    return this.#watch.isAltered();
  }

  /** Brings a manifest in force that is believed, in place of any that is on its way. */
  bring(target: SyncTarget, message: ManifestMessage): void {
    this.#pending = { ...target, message, anew: false };
    this.#failures = 0;
    this.#cancelPause?.();
    this.#workSoon();
  }

  /** Other keys count now: whoever had the old ones is not to have the last word. What is in force stays until then. */
  rootChanged(): void {
    const pending = this.#pending;
    if (!pending || pending.anew || this.#parts.trust.isOfNewest(pending.document)) return;
    this.#pending = undefined;
    this.#cancelPause?.();
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
    if (this.#damaged) await this.#throwAway();
    const isCurrent = () => this.#started && this.#pending === pending;
    const fetched = await this.#fetch.fetch(pending, isCurrent);
    if (fetched.kind === 'superseded') return false;
    if (fetched.kind === 'refused') this.#parts.refusals.add('chunk', fetched.reason);
    if (fetched.kind !== 'complete') {
      await this.#later(fetched.kind === 'refused' ? fetched.reason : fetched.kind);
      // or else it would keep out, as older, what a server says that was put back to before it
      return fetched.kind === 'gone' && !pending.anew && this.#failures >= triesForGone;
    }
    const nowMs = this.#parts.nowMs();
    // it took long to come, or the clock was put right
    if (nowMs >= pending.manifest.expiresAtMs) {
      this.#parts.refusals.add('manifest', 'expired');
      return true;
    }
    const outcome = await this.#parts.sync.install(pending, nowMs);
    if (outcome.kind === 'refused') {
      this.#parts.refusals.add('manifest', outcome.reason);
      this.#tellBehind({ why: outcome.reason, version: pending.manifest.version });
      return true;
    }
    if (outcome.kind === 'incomplete') {
      await this.#throwAway();
      await this.#later('incomplete');
      return false;
    }
    await this.#inForce(pending, outcome.bucketsChanged);
    return true;
  }

  async #inForce({ document, manifest }: SyncTarget, bucketsChanged: number): Promise<void> {
    const { memory, journal, log, changed, follow } = this.#parts;
    const before = this.#installed?.manifest;
    this.#installed = { document, manifest };
    this.#watch.follow(manifest);
    if (!this.#damaged) this.#watch.setAltered(false);
    this.#tellBehind(undefined);
    await follow({ document, manifest });
    changed();
    const { rootVersion, version, changeNumber, issuedAtMs, holders } = manifest;
    log.info({ version, changeNumber, holders, bucketsChanged }, 'policy in force');
    // said again, later: nothing that a record would tell
    const same = before?.rootVersion === rootVersion && before.version === version;
    if (same && hasSameContent(before, manifest)) return;
    journal.note({
      kind: 'policy',
      body: { event: 'installed', version, changeNumber, issuedAtMs, holders, bucketsChanged },
      facts: memory.declare((state) => [furtherFact(state, installedKey, versionOf(manifest))]),
    });
  }

  /** What went wrong is tried again after a while; what was found changed or damaged on the device is thrown away first. */
  async #recover(error: unknown): Promise<void> {
    if (isFault(error, 'database-invalid')) this.#foundDamaged(error);
    try {
      if (isFault(error, 'policy-altered', 'database-invalid')) await this.#throwAway();
    } catch (again) {
      this.#parts.log.error({ err: again }, 'the policy database cannot be mended yet');
    }
    await this.#later(isFault(error) ? error.code : String(error));
  }

  /** Of what is in force nothing is left after this. */
  async #throwAway(): Promise<void> {
    await this.#parts.sync.repair();
    this.#damaged = false;
    this.#installed = undefined;
    this.#watch.follow(undefined);
  }

  async #later(why: string): Promise<void> {
    const { log, chance } = this.#parts;
    this.#failures += 1;
    log.warn({ why, failures: this.#failures }, 'the policy could not be brought in force yet');
    const version = this.#pending?.manifest.version;
    if (this.#failures >= triesForAlarm && version !== undefined) this.#tellBehind({ why, version });
    await this.#pause(retryAfterMs(this.#failures, chance()));
  }

  /** Once when it begins, and once when a policy comes in force; doors go on by the one that is. */
  #tellBehind(details: { readonly why: string; readonly version: number } | undefined): void {
    const on = details !== undefined;
    if (this.#behind === on) return;
    this.#behind = on;
    this.#parts.journal.note({ kind: 'alarm', body: { alarm: 'policy-behind', on, ...details } });
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

  #foundDamaged(fault: Fault): void {
    this.#damaged = true;
    this.#watch.setAltered(true, fault);
  }

  /** It opens nothing any more where it was changed; all of it is put together anew, from the manifest last in force. */
  #foundAltered(fault: Fault): void {
    if (!this.#started) return;
    // whom its other parts let in need not wait for a server that is away: the next manifest says that it is there
    if (isFault(fault, 'database-invalid')) return this.#foundDamaged(fault);
    this.#watch.setAltered(true, fault);
    const installed = this.#installed;
    // an older one is not brought in force again: the server sends the newest at each connection
    if (this.#pending || !installed || !this.#parts.trust.isCurrent(installed.manifest)) return;
    const read = decodeSigned(installed.document);
    if (read.kind === 'refused') return;
    const message = { manifest: read.value, changes: [], chunks: [] };
    this.#pending = { ...installed, message, anew: true };
    this.#installed = undefined;
    this.#watch.follow(undefined);
    this.#working ??= this.#recover(fault).finally(() => {
      this.#working = undefined;
      this.#workSoon();
    });
  }
}
