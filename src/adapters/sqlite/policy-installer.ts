import { lacksHolidays } from '#core/access/calendar.ts';
import type { ImportProblem } from '#core/access/holder-row.ts';
import type { PolicyVersion } from '#core/access/policy.ts';
import type { SiteRules } from '#core/access/site-rules.ts';
import { hasUserNumberFormat } from '#core/card/user-number.ts';
import { Fault } from '#core/fault.ts';
import type {
  HolderImport,
  ImportOutcome,
  ImportPreview,
  PolicyInstall,
  PolicyTerms,
  RollBackOutcome,
  RollBackRequest,
} from '#ports/policy-install.ts';
import { guarded, type Sqlite, sqliteCode } from './database.ts';
import { applyStaged, sharedUserNumbers } from './holder-changes.ts';
import { HolderStaging } from './holder-staging.ts';
import {
  groupsOf,
  isEnrolled,
  openPolicyForWriting,
  type PolicyRow,
  parseRules,
  readPolicyRow,
} from './policy-format.ts';
import { versionOf } from './policy-reader.ts';
import { forgetOlder, keepVersion, keptVersion, restoreRows } from './policy-undo.ts';

const problemsKept = 1_000;

/**
 * Installs rules and holders into the policy database `file`. It waits for the disk on the thread it runs on, so a
 * process or thread that serves taps must not run it; look-ups elsewhere go on undisturbed and see the old version
 * until the new one is whole.
 */
export class PolicyInstaller implements PolicyInstall {
  readonly #file: string;
  #db: Sqlite | undefined;
  /** version whose rules were last told */
  #rulesTold: number | undefined;

  constructor(parts: { readonly file: string }) {
    this.#file = parts.file;
  }

  async start(): Promise<void> {
    const db = openPolicyForWriting(this.#file);
    if (isEnrolled(db)) {
      db.close();
      throw new Fault(
        'policy-import-refused',
        'this terminal is enrolled with a server, which alone installs its policy',
      );
    }
    this.#db = db;
  }

  async stop(): Promise<void> {
    this.#db?.close();
    this.#db = undefined;
  }

  async rules(): Promise<SiteRules | undefined> {
    const row = readPolicyRow(this.#opened());
    this.#rulesTold = row?.number;
    return row && parseRules(row);
  }

  async installRules(rules: SiteRules, nowMs: number, terms: PolicyTerms = {}): Promise<PolicyVersion> {
    const db = this.#opened();
    if (terms.expiresAtMs !== undefined && nowMs >= terms.expiresAtMs) {
      throw new Fault(
        'policy-expired',
        'the policy has expired and is not installed; the one before it stays',
      );
    }
    if (lacksHolidays(rules)) {
      throw new Fault('policy-import-refused', 'a calendar asks for public holidays, which these rules lack');
    }
    return guarded(this.#file, () => {
      const version = db
        .transaction(() => {
          const dangling = danglingReferences(db, rules);
          if (dangling.length > 0) throw new Fault('policy-import-refused', dangling.join('\n'));
          keepVersion(db);
          return putPolicy(db, rules, nowMs, terms);
        })
        .immediate();
      tidy(db);
      return version;
    });
  }

  async importHolders(request: HolderImport): Promise<ImportOutcome> {
    const db = this.#opened();
    // one writer from here to the end, a person's confirmation included
    guarded(this.#file, () => db.exec('BEGIN IMMEDIATE'));
    try {
      const row = readPolicyRow(db);
      if (!row) throw new Fault('policy-absent', 'no rules are installed yet; import the rules (YAML) first');
      const rules = parseRules(row);
      const outcome = await this.#import(db, rules, request);
      // the list may have been read by rules that somebody has replaced since
      const dangling =
        outcome.kind === 'installed' && this.#rulesTold !== row.number ? danglingReferences(db, rules) : [];
      if (dangling.length > 0) throw new Fault('policy-import-refused', dangling.join('\n'));
      if (outcome.kind === 'installed') this.#rulesTold = outcome.version.number;
      guarded(this.#file, () => db.exec(outcome.kind === 'installed' ? 'COMMIT' : 'ROLLBACK'));
      if (outcome.kind === 'installed') tidy(db);
      return outcome;
    } catch (error) {
      if (db.inTransaction) db.exec('ROLLBACK');
      throw error;
    }
  }

  async rollBack({ nowMs, confirm }: RollBackRequest): Promise<RollBackOutcome> {
    const db = this.#opened();
    guarded(this.#file, () => db.exec('BEGIN IMMEDIATE'));
    try {
      const kept = keptVersion(db);
      if (!kept) throw new Fault('policy-absent', 'there is no version to go back to');
      if (kept.expires_at_ms !== null && nowMs >= kept.expires_at_ms) {
        throw new Fault('policy-expired', 'the version before has expired; the present one stays');
      }
      const preview = guarded(this.#file, () => restoreRows(db));
      const asked = preview.losingAccess + preview.gainingAccess > 0;
      if (asked && !(await confirm(preview))) {
        db.exec('ROLLBACK');
        return { preview };
      }
      const terms = {
        ...(kept.fresh_at_ms === null ? {} : { freshAtMs: kept.fresh_at_ms }),
        ...(kept.expires_at_ms === null ? {} : { expiresAtMs: kept.expires_at_ms }),
      };
      const version = putPolicy(db, parseRules(kept), nowMs, terms);
      guarded(this.#file, () => db.exec('COMMIT'));
      tidy(db);
      return { preview, version };
    } catch (error) {
      if (db.inTransaction) db.exec('ROLLBACK');
      throw error;
    }
  }

  async #import(db: Sqlite, rules: SiteRules, request: HolderImport): Promise<ImportOutcome> {
    const problems = new Problems();
    const staging = guarded(this.#file, () => new HolderStaging(db, request.mode));
    for await (const batch of request.rows) {
      guarded(this.#file, () => {
        for (const row of batch) {
          if ('text' in row) problems.add(row);
          else for (const problem of staging.add(row)) problems.add(problem);
        }
      });
    }
    if (problems.count > 0) return problems.refusal();
    const preview: ImportPreview = guarded(this.#file, () => applyStaged(db, request.mode));
    for (const problem of sharedUserNumbers(db)) problems.add(problem);
    if (problems.count > 0) return problems.refusal();
    if (request.dryRun) return { kind: 'not-installed', preview, confirmed: true };
    if (preview.needsConfirmation && !(await request.confirm(preview))) {
      return { kind: 'not-installed', preview, confirmed: false };
    }
    return { kind: 'installed', preview, version: putPolicy(db, rules, request.nowMs, {}) };
  }

  #opened(): Sqlite {
    if (!this.#db) throw new Error('the policy database is not open');
    return this.#db;
  }
}

/** Keeps the first problems and counts all. */
class Problems {
  readonly #kept: ImportProblem[] = [];
  count = 0;

  add(problem: ImportProblem): void {
    this.count += 1;
    if (this.#kept.length < problemsKept) this.#kept.push(problem);
  }

  refusal(): ImportOutcome {
    const problems = this.#kept.sort((a, b) => a.line - b.line);
    return { kind: 'refused', problems, problemCount: this.count };
  }
}

function putPolicy(
  db: Sqlite,
  rules: SiteRules,
  nowMs: number,
  { freshAtMs, expiresAtMs }: PolicyTerms,
): PolicyVersion {
  const row = {
    number: (readPolicyRow(db)?.number ?? 0) + 1,
    installed_at_ms: nowMs,
    fresh_at_ms: freshAtMs ?? null,
    expires_at_ms: expiresAtMs ?? null,
    rules: JSON.stringify(rules),
  };
  db.prepare<[PolicyRow]>(
    `INSERT OR REPLACE INTO policy (one, number, installed_at_ms, fresh_at_ms, expires_at_ms, rules)
     VALUES (1, @number, @installed_at_ms, @fresh_at_ms, @expires_at_ms, @rules)`,
  ).run(row);
  return versionOf(row, rules);
}

/** What holders and cards refer to and the new rules no longer have. */
function danglingReferences(db: Sqlite, rules: SiteRules): readonly string[] {
  const problems: string[] = [];
  const groups = new Set(rules.groups);
  const lists = db
    .prepare<[], { list: string; count: number }>(
      'SELECT group_list AS list, count(*) AS count FROM holders GROUP BY group_list',
    )
    .all();
  const lost = new Map<string, number>();
  for (const { list, count } of lists) {
    for (const group of groupsOf(list))
      if (!groups.has(group)) lost.set(group, (lost.get(group) ?? 0) + count);
  }
  for (const [group, count] of lost) {
    problems.push(
      `group "${group}" is missing, and ${count} holders are in it; keep it, or import them without it first`,
    );
  }
  const formats = new Map(rules.profiles.map((profile) => [profile.id, profile.userNumberFormat]));
  const misfits = new Map<string, number>();
  const cards = db.prepare<[], { profile_id: string; user_number: string }>(
    'SELECT profile_id, user_number FROM cards',
  );
  for (const card of cards.iterate()) {
    const format = formats.get(card.profile_id);
    if (format && hasUserNumberFormat(format, card.user_number)) continue;
    misfits.set(card.profile_id, (misfits.get(card.profile_id) ?? 0) + 1);
  }
  for (const [profile, count] of misfits) {
    const what = formats.has(profile)
      ? 'do not fit its new user number format'
      : 'have it, and it is missing';
    problems.push(
      `profile "${profile}": ${count} cards ${what}; keep it as it was, or import the holders without them first`,
    );
  }
  return problems;
}

/**
 * Forgets the rows of two versions ago and moves the new version out of the write-ahead log. It is in force already:
 * what does not succeed, where a look-up or another import is under way or the disk is full, the next import does.
 */
function tidy(db: Sqlite): void {
  try {
    forgetOlder(db);
    db.pragma('wal_checkpoint(TRUNCATE)');
  } catch (error) {
    if (sqliteCode(error) === undefined) throw error;
  }
}
