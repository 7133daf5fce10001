import type { Kysely } from 'kysely';
import type { Clock } from '#ports/clock.ts';
import type { Intake } from '#ports/intake.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';
import { Manifests, type PolicySigning } from './manifests.ts';
import { RevocationFeed } from './revocations.ts';

export interface PublisherParts {
  readonly organization: string;
  readonly db: Kysely<PermissionsTables>;
  readonly clock: Clock;
  readonly intake: Pick<Intake, 'publish'>;
  /** undefined while no root names a key that is here: nothing is published then */
  readonly signing: () => Promise<PolicySigning | undefined>;
}

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
  /** version of the root under which everything was said last; what is said under the next one takes its place */
  #rootVersion: number | undefined;
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
      this.#rootVersion = signing.rootVersion;
      this.#told.clear();
      await this.#revocations.again();
      this.#forgotten = false;
    }
    const revoked = await this.#sendRevoked(signing);
    return revoked === 'away' ? 0 : revoked + (await this.#sendManifests(signing));
  }

  async #sendRevoked(signing: PolicySigning): Promise<number | 'away'> {
    let taken = 0;
    for (;;) {
      const next = await this.#revocations.next(this.#parts.clock.utcMs(), signing);
      if (!next) return taken;
      const terminals = next.documents.length > 0 ? await this.#terminals() : [];
      for (const terminal of terminals) {
        for (const payload of next.documents) {
          if (!(await this.#send(terminal, 'revocation', payload))) return 'away';
          taken += 1;
        }
      }
      await this.#revocations.sent(next.upTo);
    }
  }

  async #sendManifests(signing: PolicySigning): Promise<number> {
    const { clock } = this.#parts;
    const due = new Set(await this.#manifests.due(clock.utcMs(), false));
    const untold = (await this.#terminals()).filter((terminal) => !this.#told.has(terminal));
    let taken = 0;
    for (const terminal of new Set([...due, ...untold])) {
      const signed = await this.#manifests.sign(terminal, clock.utcMs(), signing);
      if (!signed) continue;
      if (!(await this.#send(terminal, 'manifest', signed.message))) return taken;
      await this.#manifests.sent(signed);
      this.#told.add(terminal);
      taken += 1;
    }
    return taken;
  }

  /** Those that have a policy: the others open nothing. */
  #terminals(): Promise<readonly string[]> {
    return this.#manifests.due(this.#parts.clock.utcMs(), true);
  }

  async #send(terminal: string, kind: 'manifest' | 'revocation', payload: Uint8Array): Promise<boolean> {
    const { organization, intake } = this.#parts;
    const outcome = await intake.publish({
      to: { organization, terminal },
      kind,
      payload,
      ...(kind === 'manifest' && { retain: true as const }),
    });
    return outcome === 'taken';
  }
}
