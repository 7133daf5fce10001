import type { Machine } from './machine.ts';

/** Where the simulated chip shows its lines; the number of the platform device grows with each new chip. */
export const bank = '$(echo /sys/devices/platform/gpio-sim.*/gpiochip*)';

/** Sets what an input of the machine's GPIO chip reads. */
export async function pull(machine: Machine, line: number, level: 0 | 1): Promise<void> {
  await machine.run(`echo pull-${level === 1 ? 'up' : 'down'} > ${bank}/sim_gpio${line}/pull`);
}

/** The level of a line at this moment. */
export async function levelOf(machine: Machine, line: number): Promise<number> {
  return Number(await machine.run(`cat ${bank}/sim_gpio${line}/value`));
}

export interface Change {
  readonly line: number;
  readonly level: number;
}

/**
 * What lines of the GPIO chip do, looked at every 20 ms in the machine, so that no level of a strike or a lamp is
 * missed, from when there is a chip. The first changes told are the levels that were found.
 */
export class LineWatch {
  readonly changes: Change[] = [];
  readonly #levels = new Map<number, number>();
  readonly #end = new AbortController();
  readonly #told: (change: Change) => void;
  #waiting: (() => void)[] = [];

  /** `told` hears of each change first. */
  constructor(machine: Machine, lines: readonly number[], told: (change: Change) => void = () => undefined) {
    this.#told = told;
    const { stop } = machine.follow(watching(lines), (text) => this.#take(text));
    this.stopped.addEventListener('abort', stop);
  }

  stop(): void {
    this.#end.abort();
  }

  /** Tells those who act on what they see here that there is nothing more to see. */
  get stopped(): AbortSignal {
    return this.#end.signal;
  }

  /** The level that was seen last. */
  level(line: number): number | undefined {
    return this.#levels.get(line);
  }

  /** Resolves once one of `wanted` is seen to come about after the first `since` changes, with it. */
  async next(wanted: readonly Change[], since = this.changes.length): Promise<Change> {
    for (let seen = since; ; seen += 1) {
      while (seen >= this.changes.length) await new Promise<void>((resolve) => this.#waiting.push(resolve));
      const change = this.changes[seen];
      if (change && wanted.some(({ line, level }) => line === change.line && level === change.level))
        return change;
    }
  }

  #take(text: string): void {
    const [line = Number.NaN, level = Number.NaN] = text.split(' ').map(Number);
    if (Number.isNaN(level)) return;
    this.#told({ line, level });
    this.changes.push({ line, level });
    this.#levels.set(line, level);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const tell of waiting) tell();
  }
}

/** A shell would take a quarter of a processor of the machine for it. */
function watching(lines: readonly number[]): string {
  return `exec perl - << 'PERL'
use strict;
$| = 1;
my $bank;
until (($bank) = glob '/sys/devices/platform/gpio-sim.*/gpiochip*') { select undef, undef, undef, 0.02 }
my @lines = (${lines.join(', ')});
my (%value, %last);
for my $line (@lines) { open $value{$line}, '<', "$bank/sim_gpio$line/value" or die "$line: $!" }
while (1) {
  for my $line (@lines) {
    sysseek $value{$line}, 0, 0;
    next unless sysread $value{$line}, my $level, 1;
    print "$line $level\n" if $level ne ($last{$line} // '');
    $last{$line} = $level;
  }
  select undef, undef, undef, 0.02;
}
PERL`;
}
