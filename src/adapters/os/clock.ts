import { existsSync, readFileSync } from 'node:fs';
import { hrtime } from 'node:process';
import type { CancelTimer, Clock } from '#ports/clock.ts';

/** written by systemd-timesyncd at its first synchronisation of this boot */
const timesyncMarker = '/run/systemd/timesync/synchronized';
/** '1' when the kernel set the system clock from this battery-kept clock at boot */
const rtcFile = '/sys/class/rtc/rtc0/hctosys';
/**
 * A battery that was ever empty restarts at 1970 or 2000, and a flipped bit leads decades ahead: no RTC is believed
 * that stands before this software or beyond any life of the device.
 */
const [softwareMs, endMs] = [Date.UTC(2026, 0, 1), Date.UTC(2051, 0, 1)];
/** how long a "not yet" is believed, in milliseconds */
const recheckMs = 10_000;

export interface SystemClockOptions {
  /**
   * Files whose existence says that UTC was synchronised since boot. For chrony or ntpd, let a unit ordered after
   * `time-sync.target` create one under /run (chrony-wait.service reaches that target).
   */
  readonly markers?: readonly string[];
  readonly rtcFile?: string;
  readonly bootIdFile?: string;
}

/**
 * The clock of this machine. `trusted` rests on what Linux shows without native code: a marker of the time daemon,
 * or a real-time clock that the kernel read at boot. Once trusted, it stays so until the machine restarts; a step
 * back of UTC is for the journal to notice.
 */
export class SystemClock implements Clock {
  readonly #markers: readonly string[];
  readonly #rtcFile: string;
  readonly #bootId: string;
  #trusted = false;
  #recheckAtUs = 0;

  constructor(options: SystemClockOptions = {}) {
    this.#markers = options.markers ?? [timesyncMarker];
    this.#rtcFile = options.rtcFile ?? rtcFile;
    this.#bootId = readFileSync(options.bootIdFile ?? '/proc/sys/kernel/random/boot_id', 'utf8').trim();
  }

  utcMs(): number {
    return Date.now();
  }

  /** CLOCK_MONOTONIC, which Node reads for `hrtime`; safe as a number of µs for 285 years of uptime. */
  monotonicUs(): number {
    return Number(hrtime.bigint() / 1_000n);
  }

  trusted(): boolean {
    if (this.#trusted) return true;
    const nowUs = this.monotonicUs();
    if (nowUs < this.#recheckAtUs) return false;
    this.#recheckAtUs = nowUs + recheckMs * 1_000;
    this.#trusted = this.#markers.some((marker) => existsSync(marker)) || this.#keptByBattery();
    return this.#trusted;
  }

  bootId(): string {
    return this.#bootId;
  }

  after(delayMs: number, action: () => void): CancelTimer {
    const timer = setTimeout(action, delayMs);
    return () => clearTimeout(timer);
  }

  #keptByBattery(): boolean {
    try {
      return (
        readFileSync(this.#rtcFile, 'utf8').trim() === '1' &&
        softwareMs < this.utcMs() &&
        this.utcMs() < endMs
      );
    } catch {
      // no such clock on this machine, as on every Raspberry Pi before the fifth
      return false;
    }
  }
}
