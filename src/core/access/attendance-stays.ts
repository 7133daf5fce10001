/** One coming or going of a holder as it was recorded. */
export interface Punch {
  /** of its entry */
  readonly sequence: number;
  readonly tapId?: string;
  /** milliseconds UTC */
  readonly atMs: number;
  /** whether the clock was known to be right */
  readonly trusted: boolean;
  readonly bootId: string;
  readonly result: 'in' | 'out';
  /**
   * What said which it is: the reader, which asks for one of them; turns, as the opposite of the last; a command, about
   * now or, `corrects`, about a moment it names.
   */
  readonly by: 'reader' | 'turns' | 'command';
  readonly corrects?: boolean;
  /** the terminal itself took it for the same as the one before */
  readonly double?: boolean;
}

/** A punch that counts, with those that only repeat it. */
export interface CountedPunch extends Punch {
  readonly doubles: readonly Punch[];
}

/** One stay; what is missing nobody recorded, and somebody has to ask the holder. */
export interface Stay {
  readonly in?: CountedPunch;
  readonly out?: CountedPunch;
}

interface Counted {
  readonly punch: Punch;
  readonly doubles: Punch[];
  /** its place in time, milliseconds UTC */
  readonly placeMs: number;
}

const minuteMs = 60_000;

/**
 * The stays of one holder, from `punches` in the order recorded. Doubles within `doublesMs` are one, the first coming and
 * the first going of each. A double after a reboot, which the terminal took for the next turn, turns no later one round.
 * A command about a moment takes the place of whatever was recorded in that minute.
 */
export function correctAttendance(punches: readonly Punch[], doublesMs: number): readonly Stay[] {
  const stays: { in?: CountedPunch; out?: CountedPunch }[] = [];
  let last: Counted | undefined;
  for (const one of inTime(counted(punches, doublesMs))) {
    const { punch, doubles, placeMs } = one;
    if (last?.punch.result === punch.result && isSoon(last.punch, punch, placeMs - last.placeMs, doublesMs)) {
      last.doubles.push(punch, ...doubles);
      continue;
    }
    const open = stays.at(-1);
    if (punch.result === 'in') stays.push({ in: { ...punch, doubles } });
    else if (open && !open.out) open.out = { ...punch, doubles };
    else stays.push({ out: { ...punch, doubles } });
    last = one;
  }
  return stays;
}

/** Those that count, in the order recorded, with what each of them really was. */
function counted(punches: readonly Punch[], doublesMs: number): readonly Counted[] {
  let found: Counted[] = [];
  // the terminal takes the holder for the opposite of what they are
  let inverted = false;
  for (const punch of punches) {
    const last = found.at(-1);
    const turns = punch.by === 'turns';
    if (last && isDouble(punch, last.punch, doublesMs)) {
      last.doubles.push(punch);
      inverted = turns && punch.result !== last.punch.result;
      continue;
    }
    inverted &&= turns;
    if (punch.corrects) found = found.filter((one) => minuteOf(one.punch) !== minuteOf(punch));
    const result = inverted ? opposite[punch.result] : punch.result;
    found.push({ punch: { ...punch, result }, doubles: [], placeMs: punch.atMs });
  }
  return found;
}

const opposite = { in: 'out', out: 'in' } as const;

function minuteOf({ atMs }: Punch): number {
  return Math.floor(atMs / minuteMs);
}

function isDouble(punch: Punch, last: Punch, doublesMs: number): boolean {
  if (punch.by === 'command') return false;
  if (punch.by === 'reader') return punch.double === true && punch.result === last.result;
  if (punch.double) return true;
  return punch.bootId !== last.bootId && isSoon(last, punch, punch.atMs - last.atMs, doublesMs);
}

/** By clocks that were right alone: while one is not known to be, a night without power looks like a moment. */
function isSoon(last: Punch, punch: Punch, passedMs: number, doublesMs: number): boolean {
  return last.trusted && punch.trusted && passedMs >= 0 && passedMs <= doublesMs;
}

/** By time; what a clock said that was not known to be right is not later than what was surely recorded after it. */
function inTime(found: readonly Counted[]): readonly Counted[] {
  let surelyMs = Number.POSITIVE_INFINITY;
  const placed = found.toReversed().map((one) => {
    const { trusted, by, atMs } = one.punch;
    if (trusted && by !== 'command') surelyMs = atMs;
    return trusted ? one : { ...one, placeMs: Math.min(atMs, surelyMs) };
  });
  return placed.toReversed().toSorted((a, b) => a.placeMs - b.placeMs);
}
