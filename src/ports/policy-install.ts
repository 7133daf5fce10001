import type { HolderRow, ImportMode, ImportProblem } from '#core/access/holder-row.ts';
import type { PolicyVersion } from '#core/access/policy.ts';
import type { SiteRules } from '#core/access/site-rules.ts';

/** What an import would change. */
export interface ImportPreview {
  readonly holdersBefore: number;
  readonly holdersAfter: number;
  readonly added: number;
  readonly changed: number;
  readonly removed: number;
  readonly cardsAdded: number;
  readonly cardsChanged: number;
  readonly cardsRemoved: number;
  /** active holders who would be removed, suspended, ended or left without a group or an active card */
  readonly losingAccess: number;
  /** so many lose access that a person must confirm it */
  readonly needsConfirmation: boolean;
}

export type ImportOutcome =
  | { readonly kind: 'installed'; readonly preview: ImportPreview; readonly version: PolicyVersion }
  /** a dry run, or not confirmed */
  | { readonly kind: 'not-installed'; readonly preview: ImportPreview; readonly confirmed: boolean }
  /** nothing was applied; the first problems in order, and how many there are */
  | { readonly kind: 'refused'; readonly problems: readonly ImportProblem[]; readonly problemCount: number };

export interface HolderImport {
  readonly mode: ImportMode;
  readonly dryRun: boolean;
  readonly nowMs: number;
  /** Lines in the order of the file; a problem found by then stands in place of its row. */
  readonly rows: AsyncIterable<readonly (HolderRow | ImportProblem)[]>;
  /** Asked only where `preview.needsConfirmation`. */
  readonly confirm: (preview: ImportPreview) => Promise<boolean>;
}

/** What going back would change. */
export interface RollBackPreview {
  readonly holders: number;
  readonly cards: number;
  readonly losingAccess: number;
  readonly gainingAccess: number;
}

export interface RollBackRequest {
  readonly nowMs: number;
  /** Asked where anybody loses or gains access. */
  readonly confirm: (preview: RollBackPreview) => Promise<boolean>;
}

/** `version` is there where it was done. */
export interface RollBackOutcome {
  readonly preview: RollBackPreview;
  readonly version?: PolicyVersion;
}

/** What whoever issues a policy says of its time; one put together on the device has neither. */
export type PolicyTerms = Pick<PolicyVersion, 'freshAtMs' | 'expiresAtMs'>;

/**
 * Puts a policy together on the device; for a terminal that no server looks after. Each install makes a new version,
 * whole or not at all, and never holds up a look-up.
 */
export interface PolicyInstall {
  /** Rejects with `policy-import-refused` once enrolled, `database-in-use`, `database-newer` or `database-invalid`. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** undefined before the first install */
  rules(): Promise<SiteRules | undefined>;
  /**
   * Replaces the rules; rejects with `policy-import-refused` where holders would be left without what they refer to,
   * and with `policy-expired`. `nowMs`, milliseconds UTC, is never earlier than the time known to have passed.
   */
  installRules(rules: SiteRules, nowMs: number, terms?: PolicyTerms): Promise<PolicyVersion>;
  /** Rejects with `policy-absent` before rules are installed. */
  importHolders(request: HolderImport): Promise<ImportOutcome>;
  /**
   * Makes a new version that is as the one before the last; a second time takes that back. Rejects with
   * `policy-absent` where there is none to go back to, and with `policy-expired`.
   */
  rollBack(request: RollBackRequest): Promise<RollBackOutcome>;
}
