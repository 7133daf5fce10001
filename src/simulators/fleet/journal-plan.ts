import { createPrivateKey, sign } from 'node:crypto';
import { plainBytes, toHex } from '#core/bytes/bytes.ts';
import { parseDevicePublicKey } from '#core/crypto/device-signature.ts';
import { checkpointBytes } from '#core/journal/checkpoint.ts';
import { chainEntry, noPrevious, type StoredEntry } from '#core/journal/entry.ts';
import type { JournalRecord } from '#core/journal/record.ts';
import { encodeJournalBatch, mostBatchEntries } from '#core/sync/journal-batch-writing.ts';
import type { TerminalIdentity } from '#core/sync/terminal-identity.ts';
import type { ClockError } from './clock-error.ts';

/** A batch that is signed and packed beforehand, so that the one who sends it measures the server and not itself. */
export interface PlannedBatch {
  /** when the last entry in it happens, in milliseconds since the run began: from then on its sender wants it stored */
  readonly dueMs: number;
  readonly last: number;
  /** of the last entry, upper-case hexadecimal */
  readonly hash: string;
  readonly entries: number;
  readonly payload: Uint8Array;
}

export interface JournalPlan {
  readonly identity: TerminalIdentity;
  readonly incarnation: string;
  /** key of the device: PKCS#8, PEM; and its SubjectPublicKeyInfo, PEM */
  readonly deviceKey: string;
  readonly devicePublicKey: string;
  /** UTC of the moment 0 */
  readonly beginsAtMs: number;
  readonly clock: ClockError;
  /** passages, in milliseconds since the run begins, in order */
  readonly atMs: readonly number[];
  /** so many passages become one batch; each is two entries */
  readonly passagesInBatch: number;
}

/** a signature for about so many entries, and one for the last */
const checkpointEvery = 1_000;
const salt = new Uint8Array(16).fill(7);

/** The journal that a terminal writes while `plan.atMs` happens, as the batches it would send. */
export function planBatches(plan: JournalPlan): readonly PlannedBatch[] {
  const { atMs, passagesInBatch } = plan;
  const perBatch = Math.min(passagesInBatch, mostBatchEntries / 2);
  const batches: PlannedBatch[] = [];
  let previous = noPrevious;
  let sequence = 0;
  let signed = 0;
  for (let from = 0; from < atMs.length; from += perBatch) {
    const some = atMs.slice(from, from + perBatch);
    const first = sequence + 1;
    const entries: StoredEntry[] = [];
    for (const at of some) {
      for (const record of recordsOf(at, sequence, plan)) {
        sequence += 1;
        const position = { terminal: plan.identity.terminal, incarnation: plan.incarnation, sequence };
        const entry = chainEntry(record, position, previous, () => salt);
        previous = toHex(entry.hash);
        entries.push(entry);
      }
    }
    const dueMs = some.at(-1) ?? 0;
    const isSigned = sequence - signed >= checkpointEvery || from + perBatch >= atMs.length;
    if (isSigned) signed = sequence;
    const checkpoints = isSigned ? [checkpoint(plan, sequence, previous, dueMs)] : [];
    const payload = encodeJournalBatch({
      ...plan.identity,
      incarnation: plan.incarnation,
      first,
      oldestKept: 1,
      after: null,
      entries: entries.map(({ raw, personal }) => ({ raw, personal })),
      checkpoints,
    });
    batches.push({ dueMs, last: sequence, hash: previous, entries: entries.length, payload });
  }
  return batches;
}

function checkpoint(plan: JournalPlan, sequence: number, hash: string, atMs: number) {
  const head = { terminal: plan.identity.terminal, incarnation: plan.incarnation, sequence, hash };
  const keyId = parseDevicePublicKey(plan.devicePublicKey)?.keyId ?? '';
  const raw = checkpointBytes(head, Math.round(plan.beginsAtMs + atMs), keyId);
  const key = createPrivateKey(plan.deviceKey);
  return { raw, signature: plainBytes(sign('sha256', raw, { key, dsaEncoding: 'ieee-p1363' })) };
}

/** A card that is let in, and what the strike then did: the shape that terminals write. */
function recordsOf(
  at: number,
  sequence: number,
  { beginsAtMs, clock }: JournalPlan,
): readonly JournalRecord[] {
  const tapId = (sequence + 1).toString(16).padStart(32, '0');
  const shown = (later: number) => Math.round(clock.shows(beginsAtMs + at + later));
  const common = { bootId: '6f7a4c1e-2d55-4a0b-9d7e-0c6f3f4b8a11', clock: clock.state, tapId };
  const basis = {
    policyVersion: 12,
    doorId: 'main',
    timeMs: shown(0),
    clock: clock.state,
    demanded: ['mutual-authentication'],
    path: [
      { rule: 'registration', outcome: 'passed' },
      { rule: 'permission', outcome: 'passed' },
    ],
  };
  const card = {
    organization: 'city',
    profile: 'type-a',
    method: 'type-a',
    assurance: ['mutual-authentication', 'message-authentication'],
    timings: { connectUs: 31_000, selectUs: 12_000, authenticateUs: 88_000, readUs: 22_000, exchanges: 6 },
  };
  return [
    {
      ...common,
      kind: 'decision',
      atMs: shown(0),
      monotonicUs: Math.round(at * 1_000),
      body: { door: 'main', reader: 'outside', result: 'granted', basis, card },
      personal: { userNumber: `A${String(sequence).padStart(8, '0')}`, diversifier: '00112233445566778899' },
    },
    {
      ...common,
      kind: 'actuation',
      atMs: shown(40),
      monotonicUs: Math.round(at * 1_000) + 40_000,
      body: { door: 'main', outcome: 'unlocked' },
    },
  ];
}
