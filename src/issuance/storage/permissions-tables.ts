import type { RecordStatus } from '#core/access/policy.ts';
import type { RevocationReason } from '#ports/certificates.ts';
import type { CommandTables } from './command-tables.ts';
import type { CommonTables } from './common-tables.ts';
import type { DistributionTables } from './distribution-tables.ts';
import type { GroupTables } from './group-tables.ts';

/** Key of a card; without a diversifier, which is then empty, the record stands for any card with the user number. */
interface CardKeyColumns {
  profile_id: string;
  user_number: string;
  diversifier: string;
}

/** What an administrator has suspended: it stays so whatever a list or a plan says, until an administrator lifts it. */
interface SuspensionColumns {
  since_ms: number;
  suspended_by: string;
  reason: string;
}

export type ChangeSetState = 'draft' | 'importing' | 'scheduled' | 'applying' | 'applied' | 'cancelled';
/** `received` and `working`: not compared yet; `ready`: to be looked at and decided; then its change set tells */
export type ImportState = 'received' | 'working' | 'refused' | 'ready' | 'decided' | 'cancelled';
export type RulesState = 'planned' | 'in-force' | 'replaced' | 'cancelled';

/** The database of one organization: who may do what, and who decides that. */
export interface PermissionsTables extends CommonTables, DistributionTables, CommandTables, GroupTables {
  administrators: {
    administrator_id: string;
    name: string;
    /** JSON: names of roles */
    roles: string;
    /** JSON: sites that a facilities administrator looks after */
    sites: string;
    password: string;
    /** sealed; null until the administrator has set it up */
    totp_secret: Uint8Array | null;
    /** the last step of time whose password was used */
    totp_step: number;
    enabled: number;
    break_glass: number;
    /** in a row */
    wrong_passwords: number;
    /** in a row: wrong one-time passwords after the right password */
    failures: number;
    locked_until_ms: number;
    revision: number;
  };
  sessions: {
    token_hash: string;
    administrator_id: string;
    made_at_ms: number;
    used_at_ms: number;
    expires_at_ms: number;
  };
  api_tokens: {
    token_id: string;
    token_hash: string;
    name: string;
    /** JSON: names of scopes */
    scopes: string;
    made_by: string;
    made_at_ms: number;
    expires_at_ms: number;
    revoked_at_ms: number | null;
  };
  passkeys: {
    /** base64url, as its authenticator names it */
    credential_id: string;
    administrator_id: string;
    /** COSE */
    public_key: Uint8Array;
    /** how often it was used, as it says itself; 0 for one that does not count */
    counter: number;
    name: string;
    backed_up: number;
    made_at_ms: number;
    used_at_ms: number;
  };
  /** of passkeys, until they would be too old anyway */
  used_challenges: { challenge: string; forget_at_ms: number };
  sites: { site_id: string; name: string; groups: string; terminals: string; revision: number };
  holders: {
    holder_id: string;
    status: RecordStatus;
    valid_from_ms: number | null;
    valid_until_ms: number | null;
    /** sorted, each name between semicolons; empty for none */
    group_list: string;
    /** number of the last change of the holder, of its cards or of a suspension of either */
    change_number: number;
  };
  cards: CardKeyColumns & { holder_id: string; status: RecordStatus; key_version: number | null };
  holder_suspensions: SuspensionColumns & { holder_id: string };
  /** `with_holder`: the card left this holder while the holder was suspended, and is lifted with that one */
  card_suspensions: SuspensionColumns & CardKeyColumns & { with_holder: string | null };
  /** so that whoever distributes learns of them; a holder who comes back leaves it */
  removed_holders: { holder_id: string; change_number: number };
  /** the same of cards taken off a holder; one that somebody has again leaves it as well, by not being looked at */
  removed_cards: CardKeyColumns & { change_number: number };
  rules: {
    version: number;
    in_force_from_ms: number;
    state: RulesState;
    /** JSON of the rules as they were written, checked by `siteRulesSchema` */
    document: string;
    made_by: string;
    made_at_ms: number;
    /** of the change that put it in force */
    change_number: number | null;
  };
  change_sets: {
    change_set_id: string;
    title: string;
    state: ChangeSetState;
    in_force_from_ms: number | null;
    /** the last holder, in their order, whose change was applied; empty before the first */
    applied_through: string;
    made_by: string;
    made_at_ms: number;
    revision: number;
  };
  /** one for each holder of a set; `change` is JSON (`HolderChange`), `conflict` what of it was not applied */
  planned_changes: {
    change_set_id: string;
    holder_id: string;
    change: string;
    applied: number;
    conflict: string | null;
  };
  /** holders of whom a set that is half applied still takes something away, once it has given everything */
  planned_ends: { change_set_id: string; holder_id: string };
  imports: {
    import_id: string;
    state: ImportState;
    /** JSON (`ImportRequest`) */
    request: string;
    /** JSON (`ImportReport`) */
    report: string;
    change_set_id: string;
    made_by: string;
    made_at_ms: number;
  };
  /** lines of a list while it is compared with what is recorded; `row` is JSON (`HolderRow`) */
  import_rows: CardKeyColumns & { import_id: string; holder_id: string; line: number; row: string };
  terminals: { terminal_id: string; name: string; made_at_ms: number };
  /** the last one of each terminal */
  enrolments: {
    terminal_id: string;
    secret_hash: string;
    made_by: string;
    made_at_ms: number;
    expires_at_ms: number;
    /** of the certificate it was used for */
    serial_number: string | null;
  };
  certificates: {
    serial_number: string;
    terminal_id: string;
    /** SHA-256 of the public key, as everywhere */
    key_id: string;
    /** SubjectPublicKeyInfo of the key that signs the journal of the device */
    device_key: Uint8Array;
    certificate: Uint8Array;
    not_before_ms: number;
    not_after_ms: number;
    revoked_at_ms: number | null;
    reason: RevocationReason | null;
  };
  /** the last that each terminal has said of itself; `state` is JSON (`TerminalDevice`), `policy` too (`PolicyStatus`) */
  terminal_states: {
    terminal_id: string;
    state: string;
    policy: string | null;
    heard_at_ms: number;
    offline_from_ms: number;
  };
}
