import { z } from 'zod';
import type { JournalEntry } from '#core/journal/entry.ts';
import { correctAttendance, type Punch, type Stay } from './attendance-stays.ts';
import { type RecordedDecision, recordedDecision } from './recorded-tap.ts';
import { attendanceKey, attendanceSchema } from './rules/services/attendance.ts';

const wayShape = z.enum(['in', 'out']);
const correctionSchema = z.looseObject({
  command: z.literal('correct-attendance'),
  outcome: z.literal('done'),
  service: z.string(),
  is: wayShape,
  atMs: z.number().optional(),
});

/** Whose a punch is: `known` where the policy has the holder. */
export interface PunchHolder {
  readonly holderId: string;
  readonly known: boolean;
}

/** Who is who by the policy. */
export interface AttendanceHolders {
  ofCard(card: { organization: string; profile: string; userNumber: string }): PunchHolder;
  ofId(holderId: string): PunchHolder;
}

/** The stays of one holder, in time; without `holder` one stay alone, of whom has lawfully been erased. */
export interface HolderStays {
  readonly holder?: PunchHolder;
  readonly stays: readonly Stay[];
}

interface KeptPunches {
  readonly holder: PunchHolder;
  readonly punches: Punch[];
}

/** Finds out of the entries of a journal, in their order, who came and went at the attendance service `service`. */
export class RecordedAttendance {
  readonly #service: string;
  readonly #holders: AttendanceHolders;
  readonly #byHolder = new Map<string, KeptPunches>();
  readonly #erased: Punch[] = [];
  /** taps whose door did not obey, which count for nothing */
  readonly #unobeyed = new Set<string>();

  constructor({ service, holders }: { readonly service: string; readonly holders: AttendanceHolders }) {
    this.#service = service;
    this.#holders = holders;
  }

  take(entry: JournalEntry, personal: { readonly [field: string]: string }): void {
    const { kind, body, tapId } = entry;
    if (kind === 'actuation' && (body.result === 'not-opened' || body.result === 'failed')) {
      this.#unobeyed.add(tapId ?? '');
    }
    if (kind === 'command') {
      const punch = correction(entry, this.#service);
      if (punch)
        this.#keep(punch, personal.holder === undefined ? undefined : this.#holders.ofId(personal.holder));
      return;
    }
    const decision = recordedDecision(entry);
    const punch = decision && tapped(entry, decision, this.#service);
    if (!punch || !decision.card) return;
    const { userNumber } = personal;
    this.#keep(
      punch,
      userNumber === undefined ? undefined : this.#holders.ofCard({ ...decision.card, userNumber }),
    );
  }

  /** By the id of the holder; erased ones last. Doubles are within `doublesMs`. */
  stays(doublesMs: number): readonly HolderStays[] {
    const obeyed = ({ tapId }: Punch) => tapId === undefined || !this.#unobeyed.has(tapId);
    const named = [...this.#byHolder.values()]
      .toSorted((a, b) => (a.holder.holderId < b.holder.holderId ? -1 : 1))
      .map(({ holder, punches }) => ({
        holder,
        stays: correctAttendance(punches.filter(obeyed), doublesMs),
      }));
    const erased = this.#erased
      .filter(obeyed)
      .map((punch) => ({ stays: correctAttendance([punch], doublesMs) }));
    return [...named, ...erased];
  }

  #keep(punch: Punch, holder: PunchHolder | undefined): void {
    if (!holder) {
      this.#erased.push(punch);
      return;
    }
    const key = `${holder.known} ${holder.holderId}`;
    const kept = this.#byHolder.get(key);
    if (kept) kept.punches.push(punch);
    else this.#byHolder.set(key, { holder, punches: [punch] });
  }
}

function tapped(entry: JournalEntry, decision: RecordedDecision, id: string): Punch | undefined {
  const { basis, changes = [], result, service } = decision;
  if (result !== 'granted' || service?.id !== id || !basis) return undefined;
  const before = wayShape.safeParse(basis.path.find(({ rule }) => rule === 'service')?.used?.last).data;
  const key = attendanceKey(id);
  const change = changes.find((one) => one.key === key && one.about === 'holder');
  const now = attendanceSchema.safeParse(change?.value).data?.last;
  const last = now ?? before;
  if (last === undefined) return undefined;
  return {
    sequence: entry.sequence,
    ...(entry.tapId === undefined ? {} : { tapId: entry.tapId }),
    atMs: basis.timeMs,
    trusted: basis.clock === 'trusted',
    bootId: entry.bootId,
    result: last,
    // the first of all is the opposite of none
    by: service.action === undefined && before !== undefined ? 'turns' : 'reader',
    ...(now === undefined && { double: true }),
  };
}

function correction({ sequence, body, atMs, clock, bootId }: JournalEntry, id: string): Punch | undefined {
  const told = correctionSchema.safeParse(body).data;
  if (told?.service !== id) return undefined;
  const about =
    told.atMs === undefined ? { atMs, trusted: clock === 'trusted' } : { atMs: told.atMs, trusted: true };
  return { sequence, ...about, bootId, result: told.is, by: 'command', corrects: told.atMs !== undefined };
}
