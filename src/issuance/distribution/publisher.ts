import type { Kysely } from 'kysely';
import type { Clock } from '#ports/clock.ts';
import type { Intake } from '#ports/intake.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';
import type { RoleSigning } from '../trust/organization-trust.ts';
import { Manifests } from './manifests.ts';
import { RevocationFeed } from './revocations.ts';

export interface PublisherParts {
  readonly organization: string;
  readonly db: Kysely<PermissionsTables>;
  readonly clock: Pick<Clock, 'utcMs'>;
  readonly publish: Intake['publish'];
  /** undefined while no root names a key that is here: nothing is published then */
  readonly signing: () => Promise<RoleSigning | undefined>;
  /** whether the clock is one to date policies by; what is revoked needs none */
  readonly mayDate: () => boolean;
}

/** revocations handed to the broker at once */
const revocationsAtOnce = 64;
/** manifests, after which it is looked whether anything was revoked */
const manifestsAtOnce = 16;
/** messages to one terminal about what it has missed, in answer to one word of it */
const missedAtOnce = 20;

/**
 * Sends the terminals of one organization what is revoked, and their manifests. What the broker does not take is sent
 * the next time: `round` is to be called again and again, one after another.
 */
export class Publisher {
  readonly #parts: PublisherParts;
  readonly #manifests: Manifests;
  readonly #revocations: RevocationFeed;
  /** the broker may have forgotten what it kept */
  #forgotten = true;
  /** of the root under which everything was said; what is said under the next one takes its place */
  #rootVersion: number | undefined;
  /** revocations up to this change were sent; undefined while that is to be found out */
  #revokedUpTo: number | undefined;
  /** terminals whose manifest it was sent since */
  readonly #told = new Set<string>();

  constructor(parts: PublisherParts) {
    this.#parts = parts;
    this.#manifests = new Manifests(parts);
    this.#revocations = new RevocationFeed(parts);
  }

  /** The broker is there again: everything is sent anew. */
  connected(): void {
    this.#forgotten = true;
  }

  /** Sends what is due. Resolves to how many messages the broker took. */
  async round(): Promise<number> {
    const signing = await this.#parts.signing();
    if (!signing) return 0;
    if (this.#forgotten || this.#rootVersion !== signing.rootVersion) {
      this.#forgotten = false;
      this.#rootVersion = signing.rootVersion;
      this.#told.clear();
      this.#revokedUpTo = undefined;
    }
    const revoked = await this.#sendRevoked(signing);
    return revoked === 'away' ? 0 : revoked + (await this.#sendManifests(signing));
  }

  /**
   * Sends a terminal that has every change up to `changeNumber` what was revoked since: what was sent while it was away
   * is gone, and its manifest may still be to come. Where that number is not known, what was revoked ahead of manifests.
   */
  async sendMissed(terminal: string, changeNumber: number | undefined): Promise<void> {
    const signing = await this.#parts.signing();
    let after = changeNumber ?? (await this.#revocations.oldest());
    for (let sent = 0; signing && after !== undefined && sent < missedAtOnce; ) {
      const next = await this.#revocations.after(after, this.#parts.clock.utcMs(), signing);
      if (!next) return;
      for (const payload of next.documents) {
        if (!(await this.#send(terminal, 'revocation', payload))) return;
        sent += 1;
      }
      after = next.upTo;
    }
  }

  /**
   * Sends a terminal that has `version` of its policy, or none (0), its manifest where that is a later one: not every broker
   * keeps the last that was said to those who were away.
   */
  async sendLater(terminal: string, version: number): Promise<void> {
    const signing = await this.#parts.signing();
    const current = signing && (await this.#manifests.version(terminal));
    if (signing && current !== undefined && current > version) await this.#sendSome([terminal], signing);
  }

  async #sendRevoked(signing: RoleSigning): Promise<number | 'away'> {
    // before the first policy there is nothing to revoke: that has it all
    this.#revokedUpTo ??= await this.#revocations.oldest();
    let taken = 0;
    while (this.#revokedUpTo !== undefined) {
      const next = await this.#revocations.after(this.#revokedUpTo, this.#parts.clock.utcMs(), signing);
      if (!next) break;
      const terminals = next.documents.length > 0 ? await this.#manifests.all() : [];
      for (const payload of next.documents) {
        for (let at = 0; at < terminals.length; at += revocationsAtOnce) {
          const some = terminals.slice(at, at + revocationsAtOnce);
          const sent = await Promise.all(some.map((terminal) => this.#send(terminal, 'revocation', payload)));
          if (sent.includes(false)) return 'away';
          taken += some.length;
        }
      }
      this.#revokedUpTo = next.upTo;
    }
    return taken;
  }

  async #sendManifests(signing: RoleSigning): Promise<number> {
    const due = await this.#manifests.due(this.#parts.clock.utcMs());
    const untold = (await this.#manifests.all()).filter((terminal) => !this.#told.has(terminal));
    const terminals = [...new Set([...due, ...untold])];
    let taken = 0;
    for (let at = 0; at < terminals.length; at += manifestsAtOnce) {
      const { sent, away } = await this.#sendSome(terminals.slice(at, at + manifestsAtOnce), signing);
      taken += sent;
      if (away) return taken;
      // nobody who was suspended meanwhile waits for the rest
      const revoked = at + manifestsAtOnce < terminals.length ? await this.#sendRevoked(signing) : 0;
      if (revoked === 'away') return taken;
      taken += revoked;
    }
    return taken;
  }

  async #sendSome(
    terminals: readonly string[],
    signing: RoleSigning,
  ): Promise<{ readonly sent: number; readonly away: boolean }> {
    if (!this.#parts.mayDate()) return { sent: 0, away: false };
    const nowMs = this.#parts.clock.utcMs();
    const signed = await Promise.all(
      terminals.map((terminal) => this.#manifests.sign(terminal, nowMs, signing)),
    );
    const ready = signed.filter((one) => one !== undefined);
    const outcomes = await Promise.all(ready.map((one) => this.#send(one.terminal, 'manifest', one.message)));
    const sent = ready.filter((_, at) => outcomes[at]);
    await this.#manifests.sent(sent);
    for (const { terminal } of sent) this.#told.add(terminal);
    return { sent: sent.length, away: sent.length < ready.length };
  }

  async #send(terminal: string, kind: 'manifest' | 'revocation', payload: Uint8Array): Promise<boolean> {
    const { organization, publish } = this.#parts;
    const outcome = await publish({
      to: { organization, terminal },
      kind,
      payload,
      ...(kind === 'manifest' && { retain: true as const }),
    });
    return outcome === 'taken';
  }
}
