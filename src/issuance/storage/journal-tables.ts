/** Kinds of what is wrong with a journal that a terminal sends. */
export const journalAlarmKinds = [
  /** an entry that was stored before came again as another one: history was rewritten */
  'entry-rewritten',
  /** an entry does not follow the one before it: one of the two was replaced */
  'chain-broken',
  /** entries that the terminal does not have any more, and that never came */
  'entries-missing',
  'entry-malformed',
  /** the bytes of an entry name another terminal, incarnation or number than the one it came as */
  'entry-misplaced',
  /** a personal value is not the one whose hash is in the entry; it was not kept */
  'personal-changed',
  'checkpoint-malformed',
  'checkpoint-key-unknown',
  'checkpoint-signature-wrong',
  /** a signed checkpoint names another entry than the one that is stored */
  'checkpoint-contradicts',
  /** an incarnation grew after another had taken its place: a device is there twice */
  'incarnation-returned',
] as const;
export type JournalAlarmKind = (typeof journalAlarmKinds)[number];

/** Kinds that most entries are of: an index by kind would cost each passage, and find nothing that its time does not. */
export const everydayKinds: ReadonlySet<string> = new Set(['decision', 'actuation', 'door']);
/** The other entries, as the index of these says it: other words need another index. */
export const seldomEntries = "kind not in ('decision', 'actuation', 'door')";

/** The journals of the terminals of one organization. */
export interface JournalTables {
  /** one row for each terminal; whoever stores something of it locks it first */
  journal_terminals: { terminal: string; latest_chain: number };
  /** incarnations, by a random number, and the last entry of each that is stored */
  chains: {
    chain: number;
    terminal: string;
    incarnation: string;
    registered_at_ms: number;
    sequence: number;
    hash: string;
    /** last entry that a checkpoint stored here signs */
    signed_through: number;
    /** 1 when it grew after another had taken its place */
    returned: number;
    /** entries behind the first of these numbers up to the second are compared again; 0 and 0: none are */
    compare_behind: number;
    compare_through: number;
  };
  /** `raw` is what is hashed; the columns behind `hash` only find it */
  entries: {
    chain: number;
    sequence: number;
    raw: Uint8Array;
    hash: Uint8Array;
    /** empty where the bytes are no entry */
    kind: string;
    at_ms: number;
    tap_id: string | null;
    door: string | null;
    received_at_ms: number;
  };
  /** `value` is a JSON string, which holds every text */
  personal: { chain: number; sequence: number; field: string; salt: Uint8Array; value: string };
  checkpoints: { chain: number; sequence: number; raw: Uint8Array; signature: Uint8Array };
  /** what came and contradicts what is stored: the first of each entry */
  evidence: {
    chain: number;
    sequence: number;
    kind: 'entry' | 'checkpoint';
    raw: Uint8Array;
    signature: Uint8Array | null;
    received_at_ms: number;
  };
  /** both sequences inclusive */
  alarms: {
    chain: number;
    kind: JournalAlarmKind;
    from_sequence: number;
    to_sequence: number;
    raised_at_ms: number;
  };
  /** the last entry of an incarnation that was let go of with all before it */
  forgotten: { chain: number; sequence: number; hash: Uint8Array; forgotten_at_ms: number };
  /** entries that lost their personal values here, both inclusive; those lost at the terminal say so themselves */
  erasures: { chain: number; from_sequence: number; to_sequence: number; erased_at_ms: number };
  /** days after which entries, or their personal values, are let go of; no row: they are kept */
  retention: { what: RetentionKind; days: number };
}

export type RetentionKind = 'entries' | 'personal';
