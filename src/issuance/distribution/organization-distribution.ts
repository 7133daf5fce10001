import { isFault } from '#core/fault.ts';
import type { TerminalState } from '#core/sync/presence.ts';
import { Repeated } from '../repeated.ts';
import type { Lease } from '../storage/lease.ts';
import type { Ledger } from '../storage/ledger.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';
import type { GatewayContext } from '../terminals/terminal-feature.ts';
import type { OrganizationTrust } from '../trust/organization-trust.ts';
import { ChunkShelf } from './chunk-shelf.ts';
import { Counters } from './counters.ts';
import { Places } from './places.ts';
import { Publisher } from './publisher.ts';

export type PresentState = Extract<TerminalState, { presence: 'here' }>;

/** how often it is looked what another process has changed, and what is to be said again */
const lookEveryMs = 1_000;
/** one terminal that says a lot keeps nobody else waiting */
const answeredEveryMs = 900;

export interface OrganizationDistributionParts {
  readonly organization: string;
  readonly ledger: Ledger<PermissionsTables>;
  readonly trust: OrganizationTrust;
  readonly context: Pick<GatewayContext, 'clock' | 'log' | 'publish' | 'leases' | 'witnesses'>;
}

/** Distributes the policies of one organization. */
export class OrganizationDistribution {
  readonly shelf: ChunkShelf;
  readonly trust: OrganizationTrust;
  readonly #parts: OrganizationDistributionParts;
  readonly #publisher: Publisher;
  readonly #places: Places;
  readonly #counters: Counters;
  readonly #lease: Lease<PermissionsTables>;
  readonly #rounds: Repeated;
  readonly #answers: Repeated;
  /** the last word of each terminal that was not looked at yet */
  readonly #words = new Map<string, PresentState>();
  readonly #answeredAtMs = new Map<string, number>();
  /** everything that had changed by then is sent; undefined before that, and where another process publishes */
  #publishedMs: number | undefined;
  /** why it does not publish, as it was told last */
  #told: string | undefined;

  constructor(parts: OrganizationDistributionParts) {
    this.#parts = parts;
    const { organization, ledger, trust, context } = parts;
    const { clock, publish } = context;
    this.trust = trust;
    this.shelf = new ChunkShelf({ db: ledger.db });
    this.#places = new Places({ ledger, clock });
    this.#counters = new Counters({ ledger, clock });
    this.#lease = context.leases(ledger.db, 'publisher');
    const signing = () => trust.signing('policy');
    const mayDate = () => !context.witnesses.areAgainst(organization);
    this.#publisher = new Publisher({ organization, db: ledger.db, clock, publish, signing, mayDate });
    const repeated = (action: () => Promise<void>) =>
      new Repeated({
        clock,
        everyMs: lookEveryMs,
        action,
        failed: (fault) => this.#tell(fault.code, fault.message),
      });
    this.#rounds = repeated(() => this.#round());
    this.#answers = repeated(() => this.#answer());
  }

  /** Something has changed: what is due is sent at once. */
  look(): void {
    this.#rounds.look();
  }

  /** For how long nothing that was changed or revoked may have been sent, in seconds. */
  delaySeconds(): number | undefined {
    const { clock } = this.#parts.context;
    return this.#publishedMs === undefined ? undefined : (clock.utcMs() - this.#publishedMs) / 1_000;
  }

  connected(): void {
    this.#publisher.connected();
    this.#rounds.look();
  }

  /** A terminal says how it is: it may have missed something, or know more than this server. Nobody waits for that. */
  heard(terminal: string, state: PresentState): void {
    const { organization, context } = this.#parts;
    context.witnesses.heard({ organization, terminal }, state.device.clock);
    this.#words.set(terminal, state);
    this.#answers.look();
  }

  async stop(): Promise<void> {
    await Promise.all([this.#rounds.stop(), this.#answers.stop()]);
    // where the database does not answer, it runs out by itself
    await this.#lease.release().catch((error: unknown) => {
      if (!isFault(error)) throw error;
    });
  }

  async #round(): Promise<void> {
    if (!(await this.#lease.hold())) {
      this.#publishedMs = undefined;
      return;
    }
    if (!(await this.trust.signing('policy'))) {
      this.#tell(
        'no-key',
        'no policy reaches a terminal: no key is here that the root of trust lets sign policies',
      );
      return;
    }
    const beganMs = this.#parts.context.clock.utcMs();
    await this.#publisher.round();
    const { organization, context } = this.#parts;
    if (context.witnesses.areAgainst(organization)) {
      this.#tell(
        'clock',
        'no policy is confirmed and no certificate renewed: the time of most terminals is another by days than that of this server: find out which is wrong, and put that right',
      );
      return;
    }
    this.#publishedMs = beganMs;
    this.#told = undefined;
  }

  async #answer(): Promise<void> {
    const { context } = this.#parts;
    const signing = await this.trust.signing('policy');
    for (const [terminal, state] of [...this.#words]) {
      const sinceMs = context.clock.utcMs() - (this.#answeredAtMs.get(terminal) ?? Number.NEGATIVE_INFINITY);
      if (sinceMs >= 0 && sinceMs < answeredEveryMs) continue;
      this.#answeredAtMs.set(terminal, context.clock.utcMs());
      this.#words.delete(terminal);
      await this.#places.report(terminal, state.places);
      if (!signing || !state.policy) continue;
      const { installed, reached, fetching = 0 } = state.policy;
      await this.#publisher.sendLater(terminal, Math.max(installed?.version ?? 0, fetching));
      const outcome = await this.#counters.follow(terminal, reached, signing.rootVersion);
      if (outcome !== 'known') this.#tellAhead(terminal, reached, outcome);
      // asked again, unless it has said something since
      if (outcome === 'raised' && !this.#words.has(terminal)) this.#words.set(terminal, state);
      if (!installed) continue;
      const isOfRoot = installed.rootVersion === signing.rootVersion;
      await this.#publisher.sendMissed(terminal, isOfRoot ? installed.changeNumber : undefined);
    }
  }

  #tellAhead(terminal: string, reached: object, outcome: string): void {
    const { organization, context } = this.#parts;
    context.log.error({ organization, terminal, reached, outcome }, 'a terminal knows more than this server');
  }

  #tell(why: string, message: string): void {
    if (this.#told === why) return;
    this.#told = why;
    const { organization, context } = this.#parts;
    context.log.error({ organization, fault: why }, message);
  }
}
