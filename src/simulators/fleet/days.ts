import { normal, seededRandom, waiting } from './random.ts';

/** Days on which terminals differ most in when they are used. */
export const dayNames = ['office', 'shifts', 'polling-day'] as const;
export type DayName = (typeof dayNames)[number];

export interface DayPlan {
  readonly people: number;
  readonly terminals: number;
  readonly seed: number;
  /** what part of the day, in milliseconds since midnight */
  readonly fromMs: number;
  readonly toMs: number;
}

const minute = 60_000;
const hour = 60 * minute;
/** one in so many terminals of a building is at an entrance */
const perEntrance = 10;

/** The busiest minute begins here, in milliseconds since midnight. */
export const busiestMs: Readonly<Record<DayName, number>> = {
  office: 8 * hour + 26 * minute,
  shifts: 14 * hour - 6 * minute,
  'polling-day': 10 * hour,
};

/** What happens at each terminal in that part of a day, as milliseconds since it began; the same for the same seed. */
export function passagesOf(day: DayName, plan: DayPlan): readonly (readonly number[])[] {
  const random = seededRandom(plan.seed);
  const passages: number[][] = Array.from({ length: plan.terminals }, () => []);
  const add = (atMs: number, terminal: number): void => {
    if (atMs >= plan.fromMs && atMs < plan.toMs) passages[terminal]?.push(atMs - plan.fromMs);
  };
  for (let person = 0; person < plan.people; person += 1) people[day](random, plan.terminals, add);
  return passages.map((of) => of.sort((a, b) => a - b));
}

/** Passages that come by chance at all terminals alike, `rates` (a second) for `stepMs` each. */
export function steadyPassages(
  rates: readonly number[],
  { terminals, stepMs, seed }: { readonly terminals: number; readonly stepMs: number; readonly seed: number },
): readonly (readonly number[])[] {
  const random = seededRandom(seed);
  const passages: number[][] = Array.from({ length: terminals }, () => []);
  for (const [step, rate] of rates.entries()) {
    const endMs = (step + 1) * stepMs;
    for (let atMs = step * stepMs + waiting(random, 1_000 / rate); atMs < endMs; ) {
      passages[Math.floor(random() * terminals)]?.push(atMs);
      atMs += waiting(random, 1_000 / rate);
    }
  }
  return passages;
}

type Add = (atMs: number, terminal: number) => void;
type Person = (random: () => number, terminals: number, add: Add) => void;

const people: Readonly<Record<DayName, Person>> = {
  /** Everybody comes around 8:26 to begin at 8:30; two in three go out at noon. */
  office: (random, terminals, add) => {
    const { entrance, inside } = places(random, terminals);
    const cameMs = normal(random, 8 * hour + 26 * minute, 9 * minute);
    add(cameMs, entrance());
    add(cameMs + 40_000 + waiting(random, minute), inside());
    if (random() < 2 / 3) {
      add(normal(random, 12 * hour + 3 * minute, 4 * minute), entrance());
      add(normal(random, 12 * hour + 50 * minute, 5 * minute), entrance());
    }
    for (let atMs = 9 * hour; ; ) {
      atMs += waiting(random, 1.5 * hour);
      if (atMs > 17.5 * hour) break;
      add(atMs, inside());
    }
    add(17.5 * hour + waiting(random, 55 * minute), entrance());
  },
  /** Three shifts: those who come and those who go meet at the entrances. */
  shifts: (random, terminals, add) => {
    const { entrance, inside } = places(random, terminals);
    const beginsMs = (6 + 8 * Math.floor(3 * random())) * hour;
    const endsMs = (beginsMs + 8 * hour) % (24 * hour);
    add(beginsMs - Math.abs(normal(random, 0, 8 * minute)), entrance());
    for (let passage = 0; passage < 4; passage += 1) {
      add((beginsMs + random() * 8 * hour) % (24 * hour), inside());
    }
    add(endsMs + Math.abs(normal(random, 0, 4 * minute)), entrance());
  },
  /** From 7:00 to 20:00, each voter once, most of them in the morning; each terminal is at a polling place. */
  'polling-day': (random, terminals, add) => {
    const share = [4, 7, 9, 11, 10, 8, 8, 9, 9, 8, 7, 6, 4];
    let left = random() * share.reduce((sum, one) => sum + one);
    let at = 0;
    for (; at < share.length - 1 && left >= (share[at] ?? 0); at += 1) left -= share[at] ?? 0;
    add((7 + at + random()) * hour, Math.floor(random() * terminals));
  },
};

function places(random: () => number, terminals: number) {
  const entrances = Math.max(1, Math.floor(terminals / perEntrance));
  const others = Math.max(1, terminals - entrances);
  return {
    entrance: () => Math.floor(random() * entrances),
    inside: () => Math.min(terminals - 1, entrances + Math.floor(random() * others)),
  };
}
