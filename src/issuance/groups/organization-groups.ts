import type { Logger } from 'pino';
import { canBeJoined } from '#core/access/fact-kinds.ts';
import type { SiteRules } from '#core/access/site-rules.ts';
import {
  type GroupCursor,
  type GroupFacts,
  groupFactsBytes,
  readGroupReport,
} from '#core/sync/group-message.ts';
import { groupScope } from '#core/sync/group-scope.ts';
import { encodeSigned, type Signer, signDocument } from '#core/sync/signed.ts';
import type { Clock } from '#ports/clock.ts';
import type { Intake } from '#ports/intake.ts';
import type { FactsAfter, GroupStore } from './group-store.ts';

export interface OrganizationGroupsParts {
  readonly organization: string;
  readonly store: GroupStore;
  /** the rules in force; undefined before the first */
  readonly rules: () => Promise<SiteRules | undefined>;
  /** of the role `policy`; undefined where no key is here */
  readonly keys: () => Promise<{ readonly signers: readonly Signer[] } | undefined>;
  readonly publish: Intake['publish'];
  readonly clock: Pick<Clock, 'utcMs'>;
  readonly log: Pick<Logger, 'warn' | 'error'>;
}

/** how long rules are taken for those in force, in milliseconds */
const rulesForMs = 1_000;
const cleanEveryMs = 3_600_000;

/** Joins what the terminals of one organization know, and tells each what the others do. */
export class OrganizationGroups {
  readonly #parts: OrganizationGroupsParts;
  /** by terminal: up to where it was told */
  readonly #told = new Map<string, GroupCursor>();

  #cleanedAtMs: number | undefined;
  #known: { readonly atMs: number; readonly rules: SiteRules | undefined } | undefined;

  constructor(parts: OrganizationGroupsParts) {
    this.#parts = parts;
  }

  /** Takes a report and answers it. Rejects with database faults. */
  async take(terminal: string, payload: Uint8Array): Promise<void> {
    const { organization, store, log, clock } = this.#parts;
    const report = readGroupReport(payload);
    if (!report) return log.warn({ organization, terminal }, 'a report of a group that is none');
    const rules = await this.#rules();
    const scope = rules && groupScope(terminal, rules);
    if (!rules || scope === undefined) return;
    // one that no rule writes would be told to all, and could be joined with nothing
    const changes = report.changes.filter(({ key, value }) => value === undefined || canBeJoined(key, value));
    const refused = report.changes.length - changes.length;
    if (refused > 0) log.warn({ organization, terminal, refused }, 'facts of a group that are none');
    const taken = await store.take(terminal, { ...report, changes }, { rules, nowMs: clock.utcMs() });
    if (!taken) return log.warn({ organization, terminal }, 'a device that another has taken the place of');
    for (const { kind, key, terminal: one, other } of taken.conflicts)
      log.error(
        { organization, alarm: 'group-conflict', conflict: kind, key, terminals: [one, other] },
        'alarm',
      );
    const { heard, incarnation, ask } = report;
    const follows = heard?.server === taken.server && heard.scope === scope;
    const from = follows ? heard.number : 0;
    await this.#tell(terminal, { from, server: taken.server, scope, rules, answers: { incarnation, ask } });
  }

  /** Tells every terminal that is known to listen what has changed since. Rejects with database faults. */
  async push(): Promise<void> {
    const rules = await this.#rules();
    if (!rules) return;
    await this.#clean();
    const { number, server } = await this.#parts.store.state();
    for (const [terminal, cursor] of this.#told) {
      if (cursor.number >= number || cursor.server !== server) continue;
      const scope = groupScope(terminal, rules);
      // told of other facts from now on: it hears of that when it asks
      if (scope !== cursor.scope) this.#told.delete(terminal);
      else await this.#tell(terminal, { from: cursor.number, server, scope, rules });
    }
  }

  async #clean(): Promise<void> {
    const nowMs = this.#parts.clock.utcMs();
    this.#cleanedAtMs ??= nowMs;
    if (nowMs < this.#cleanedAtMs + cleanEveryMs) return;
    this.#cleanedAtMs = nowMs;
    await this.#parts.store.clean(nowMs);
  }

  /** Read from its text it takes longer than everything else. */
  async #rules(): Promise<SiteRules | undefined> {
    const nowMs = this.#parts.clock.utcMs();
    if (this.#known && Math.abs(nowMs - this.#known.atMs) < rulesForMs) return this.#known.rules;
    const rules = await this.#parts.rules();
    this.#known = { atMs: nowMs, rules };
    return rules;
  }

  async #tell(
    terminal: string,
    {
      from,
      server,
      scope,
      rules,
      answers,
    }: {
      readonly from: number;
      readonly server: string;
      readonly scope: string;
      readonly rules: SiteRules;
      readonly answers?: NonNullable<GroupFacts['answers']>;
    },
  ): Promise<void> {
    const { organization, store, publish, log, keys: find } = this.#parts;
    const keys = await find();
    if (!keys) return;
    const { facts, tooLarge, more, upTo: number }: FactsAfter = await store.after(terminal, from, rules);
    if (tooLarge.length > 0)
      log.error({ organization, terminal, keys: tooLarge }, 'facts of a group that fit no message');
    const upTo = { server, scope, number };
    const content = { organization, terminal, from, upTo, more, facts, ...(answers && { answers }) };
    if (facts.length > 0 || answers) {
      const signed = await signDocument(groupFactsBytes(content), keys.signers);
      const message = {
        to: { organization, terminal },
        kind: 'group' as const,
        payload: encodeSigned(signed),
      };
      if ((await publish(message)) !== 'taken') return void this.#told.delete(terminal);
    }
    this.#told.set(terminal, upTo);
  }
}
