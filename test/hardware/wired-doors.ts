import { inputs, readers, type Site, terminalYaml, type Wiring } from './configuration.ts';
import { bank, LineWatch } from './lines.ts';
import type { Machine } from './machine.ts';
import { same } from './report.ts';
import { group, serves, unit } from './unit.ts';

const dropIn = `/run/systemd/system/${unit}.service.d/gpio.conf`;
/** switches of the chip in configfs */
const live = '/sys/kernel/config/gpio-sim/board/live';
const exits = [inputs.exitRequest, inputs.sideExitRequest] as const;

/** how long a line may take, in seconds: less than a script may */
const limitS = 240;

/** How the machine's doors are wired, and how its kernel offers the lines. */
export interface Fitting {
  readonly strikes: readonly [Wiring, Wiring];
  /** the kernel's number of the chip's first line, or -1 where the kernel chooses */
  readonly base: number;
  readonly interface: 'sysfs' | 'character device';
  readonly site?: Omit<Site, 'strikes'>;
}

/** The level at which a strike is locked. */
export function lockedLevel({ active, lockType }: Wiring): 0 | 1 {
  return (lockType === 'fail-safe') === (active === 'high') ? 1 : 0;
}

/** The level at which a relay has no current: that to which its line is pulled. */
export function restLevel({ active }: Wiring): 0 | 1 {
  return active === 'low' ? 1 : 0;
}

/** The two doors of the machine, wired anew. */
export class WiredDoors {
  readonly #machine: Machine;
  readonly #fitting: Fitting;
  watch: LineWatch;

  private constructor(machine: Machine, fitting: Fitting, watch: LineWatch) {
    this.#machine = machine;
    this.#fitting = fitting;
    this.watch = watch;
  }

  /** Stops the terminal, puts another chip in, wires its doors, and looks at the lines from then on. `start` starts the terminal. */
  static async fit(machine: Machine, fitting: Fitting, lines: readonly number[]): Promise<WiredDoors> {
    await machine.run(`systemctl stop ${unit}; emulated-device ${fitting.base}`);
    const hidden = fitting.interface === 'character device' ? 'InaccessiblePaths=/sys/class/gpio' : '';
    await machine.write(dropIn, `[Service]\n${hidden}\n`);
    await machine.run('systemctl daemon-reload');
    const yaml = terminalYaml({ strikes: fitting.strikes, exitTime: '60 s', ...fitting.site });
    await machine.write('/etc/kazasu/terminal.yaml', yaml, '-m 0640 -g kazasu');
    const doors = new WiredDoors(machine, fitting, new LineWatch(machine, []));
    await doors.#pullRelays();
    doors.look(lines);
    return doors;
  }

  /** Starts the terminal; rejects unless its strikes are locked from when it first drives them on. */
  async start(): Promise<void> {
    const before = this.watch.changes.length;
    await this.#machine.run(`systemctl start ${unit}`);
    await this.ready();
    for (const [index, wiring] of this.#fitting.strikes.entries()) {
      const line = strikeLine(index);
      const changes = this.watch.changes.slice(before).filter((change) => change.line === line);
      const atRest = restLevel(wiring) === lockedLevel(wiring) ? 0 : 1;
      if (changes.slice(atRest).some(({ level }) => level !== lockedLevel(wiring)))
        throw new Error(`line ${line} was unlocked: ${JSON.stringify(changes)}`);
      same(this.watch.level(line), lockedLevel(wiring), `level of line ${line}`);
    }
    const user = this.#fitting.interface === 'sysfs' ? 'sysfs' : 'kazasu';
    await this.#machine.run(`gpioinfo | grep -E 'line +${readers[0].strike}:.*"${user}".*output'`);
  }

  /** Resolves once the terminal serves at both doors, after more restarts than `restarts` where that is given. */
  async ready(restarts = -1): Promise<void> {
    await this.#machine.until(`[ "$(systemctl show --value -p NRestarts ${unit})" -gt ${restarts} ]`);
    await serves(
      this.#machine,
      readers.map(({ name }) => name),
    );
  }

  /** Resolves once all that is wired is well again, lamps too, while the terminal runs on. */
  async wellAgain(): Promise<void> {
    // asked now and then only: the command takes the time of what it asks about
    const asked = 'scripts/kazasu terminal diagnostics --reason test > /run/diagnostics';
    await this.#machine.until(
      `cd /opt/kazasu && ${asked} && cat /run/diagnostics && ! grep -qE '"faulty?"' /run/diagnostics || { sleep 8; false; }`,
    );
  }

  /** Looks at `lines` of the chip that is there now. */
  look(lines: readonly number[]): void {
    this.watch.stop();
    this.watch = new LineWatch(this.#machine, lines);
  }

  /** Takes the chip away, or puts it back in, under another number. */
  async plug(present: boolean): Promise<void> {
    this.watch.stop();
    await this.#machine.run(`echo ${present ? 1 : 0} > ${live}`);
    if (present) await this.#pullRelays();
  }

  /**
   * Unlocks both doors by their exit requests, runs `action`, and waits until both are locked: in the machine, by its
   * monotonic clock. Resolves with how long it took, and how long processes of the unit went on, in milliseconds.
   */
  async lockedAfter(action: string): Promise<{ readonly tookMs: number; readonly furtherMs: number }> {
    const times = await this.#machine.run(`bank=${bank}
exec {wait}<> <(:)
at() { local level; until read -r level < $bank/sim_gpio$1/value && [ "$level" = $2 ]; do [ $SECONDS -lt ${limitS} ] || exit 1; read -rt 0.005 -u $wait; done; }
${this.#each(exits, (line) => `echo pull-up > $bank/sim_gpio${line}/pull`)}
${this.#each(this.#fitting.strikes, (wiring, index) => `at ${strikeLine(index)} ${1 - lockedLevel(wiring)}`)}
${this.#each(exits, (line) => `echo pull-down > $bank/sim_gpio${line}/pull`)}
read -r began _ < /proc/uptime
{ ${action}; } &
${this.#each(this.#fitting.strikes, (wiring, index) => `at ${strikeLine(index)} ${lockedLevel(wiring)}`)}
read -r locked _ < /proc/uptime
while read -r _ < ${group}/cgroup.procs; do read -rt 0.005 -u $wait; done 2> /dev/null
read -r ended _ < /proc/uptime
wait
echo "times $began $locked $ended"`);
    const [began, locked, ended] = (/times (.*)/.exec(times)?.[1]?.split(' ') ?? []).map(Number);
    const between = (from = Number.NaN, to = Number.NaN) => Math.round((to - from) * 1_000);
    return { tookMs: between(began, locked), furtherMs: between(locked, ended) };
  }

  /** Each line of a strike to the level at which its relay has no current. */
  async #pullRelays(): Promise<void> {
    const pulls = this.#each(
      this.#fitting.strikes,
      (wiring, index) =>
        `echo pull-${restLevel(wiring) === 1 ? 'up' : 'down'} > ${bank}/sim_gpio${strikeLine(index)}/pull`,
    );
    await this.#machine.run(pulls);
  }

  #each<T>(of: readonly T[], script: (value: T, index: number) => string): string {
    return of.map(script).join('\n');
  }
}

function strikeLine(index: number): number {
  const reader = readers[index];
  if (!reader) throw new Error(`there is no strike ${index}`);
  return reader.strike;
}
