import { next } from '#core/access/door.ts';
import { type DoorSettings, doorSettingsSchema } from '#core/access/door-settings.ts';
import {
  type DoorEffect,
  type DoorEvent,
  type DoorMachineInput,
  type DoorState,
  type DoorTimer,
  initialDoorState,
} from '#core/access/door-state.ts';

/** Runs the state machine of one door against a clock of its own and notes what it did. */
export class DoorBench {
  readonly settings: DoorSettings;
  state: DoorState = initialDoorState;
  nowMs = 0;
  readonly timers = new Map<DoorTimer, number>();
  readonly log: { readonly atMs: number; readonly input: DoorMachineInput; readonly effect: DoorEffect }[] =
    [];
  readonly unanswered: ('unlock' | 'lock')[] = [];
  /** whether the hardware answers each command at once */
  answering = true;

  constructor(settings: Partial<DoorSettings> = {}) {
    this.settings = { ...doorSettingsSchema.parse({}), ...settings };
  }

  feed(input: DoorMachineInput): readonly DoorEffect[] {
    const result = next(this.state, input, this.settings);
    this.state = result.state;
    for (const effect of result.effects) {
      this.log.push({ atMs: this.nowMs, input, effect });
      if (effect.kind === 'set-timer') this.timers.set(effect.timer, this.nowMs + effect.delayMs);
      else if (effect.kind === 'cancel-timer') this.timers.delete(effect.timer);
      else if (effect.kind === 'unlock' || effect.kind === 'lock') this.unanswered.push(effect.kind);
    }
    if (this.answering) this.answer();
    return result.effects;
  }

  answer(): void {
    for (;;) {
      const command = this.unanswered.shift();
      if (!command) return;
      this.feed({ kind: 'actuated', command });
    }
  }

  advance(ms: number): void {
    const untilMs = this.nowMs + ms;
    for (;;) {
      const [due] = [...this.timers].filter(([, at]) => at <= untilMs).sort((a, b) => a[1] - b[1]);
      if (!due) break;
      this.nowMs = due[1];
      this.timers.delete(due[0]);
      this.feed({ kind: 'timer', timer: due[0] });
    }
    this.nowMs = untilMs;
  }

  events(): DoorEvent[] {
    return this.log.flatMap(({ effect }) => (effect.kind === 'record' ? [effect.event] : []));
  }

  /** alarms as switched by effects, not as the state says */
  alarms(): string[] {
    const on = new Set<string>();
    for (const { effect } of this.log) {
      if (effect.kind !== 'alarm') continue;
      if (effect.on) on.add(effect.alarm);
      else on.delete(effect.alarm);
    }
    return [...on];
  }

  locked(): boolean {
    return this.state.strike.kind === 'locked';
  }

  commands(): string[] {
    return this.log.flatMap(({ effect }) =>
      effect.kind === 'unlock' || effect.kind === 'lock' ? [effect.kind] : [],
    );
  }
}
