import type { IndicatorWiring, OutputLine } from '#core/access/door-wiring.ts';
import type { After } from '#core/access/strike-keeper.ts';
import type { Indication, Indicator } from '#ports/indicator.ts';
import type { GpioLine, GpioLines } from './gpio-lines.ts';

type LampName = keyof IndicatorWiring;

interface Step {
  readonly on: readonly LampName[];
  /** undefined: until the next indication */
  readonly ms?: number;
}
interface Pattern {
  readonly steps: readonly Step[];
  /** whether the steps begin again after the last */
  readonly repeats: boolean;
}

const steady = (...on: readonly LampName[]): Pattern => ({ steps: [{ on }], repeats: false });
const blink = (on: readonly LampName[], ms: number): Pattern => ({
  steps: [
    { on, ms },
    { on: [], ms },
  ],
  repeats: true,
});

/** Indications differ in rhythm and sound, not in colour alone, for people who tell no red from green. */
const patterns: Readonly<Record<Indication, Pattern>> = {
  idle: steady(),
  reading: steady('busy'),
  granted: { steps: [{ on: ['granted', 'buzzer'], ms: 150 }, { on: ['granted'] }], repeats: false },
  unlocked: steady('granted'),
  'locked-down': steady('denied'),
  denied: {
    steps: [
      { on: ['denied', 'buzzer'], ms: 120 },
      { on: ['denied'], ms: 80 },
      { on: ['denied', 'buzzer'], ms: 120 },
      { on: ['denied'], ms: 80 },
      { on: ['denied', 'buzzer'], ms: 120 },
      { on: ['denied'] },
    ],
    repeats: false,
  },
  'hold-again': blink(['busy'], 200),
  'pin-needed': blink(['busy'], 500),
  'next-person': blink(['granted'], 500),
  fault: blink(['denied'], 1_000),
  alarm: blink(['denied', 'buzzer'], 250),
  // every lamp there is: unlike anything that a card brings about
  identify: blink(['busy', 'granted', 'denied', 'buzzer'], 400),
};

/** Lamps and a buzzer on GPIO lines. A lamp that fails delays nothing and is tried again at the next indication. */
export class GpioIndicator implements Indicator {
  readonly #wiring: IndicatorWiring;
  readonly #lines: GpioLines;
  readonly #after: After;
  readonly #open = new Map<LampName, GpioLine>();
  #cancelStep: (() => void) | undefined;

  constructor(parts: { wiring: IndicatorWiring; lines: GpioLines; after: After }) {
    this.#wiring = parts.wiring;
    this.#lines = parts.lines;
    this.#after = parts.after;
  }

  show(indication: Indication): void {
    this.#cancelStep?.();
    this.#run(patterns[indication], 0);
  }

  #run(pattern: Pattern, index: number): void {
    const step = pattern.steps[index % pattern.steps.length];
    if (!step || (index >= pattern.steps.length && !pattern.repeats)) return;
    for (const [name, wiring] of Object.entries(this.#wiring)) {
      if (wiring) this.#switch(name as LampName, wiring, step.on.includes(name as LampName));
    }
    if (step.ms !== undefined) this.#cancelStep = this.#after(step.ms, () => this.#run(pattern, index + 1));
  }

  #switch(name: LampName, wiring: OutputLine, on: boolean): void {
    const level = on === (wiring.active === 'high') ? 1 : 0;
    try {
      const line = this.#open.get(name);
      if (line) line.writeSync(level);
      else this.#open.set(name, this.#lines.output(wiring, level));
    } catch {
      try {
        this.#open.get(name)?.unexport();
      } catch {
        // the chip is gone, and the line with it
      }
      this.#open.delete(name);
    }
  }
}
