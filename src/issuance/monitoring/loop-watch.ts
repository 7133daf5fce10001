import { type ELDHistogram, monitorEventLoopDelay } from 'node:perf_hooks';

const everyMs = 500;
const resolutionMs = 10;
/** what a person or a door waits for is answered well within this; beyond it everything that can wait waits */
const heldUpMs = 150;

/** Whether this process is held up: how late it comes to what it has to do. */
export class LoopWatch {
  #histogram: ELDHistogram | undefined;
  #timer: NodeJS.Timeout | undefined;
  #delayMs = 0;

  start(): void {
    const histogram = monitorEventLoopDelay({ resolution: resolutionMs });
    histogram.enable();
    this.#histogram = histogram;
    this.#timer = setInterval(() => {
      this.#delayMs = Math.max(0, histogram.percentile(90) / 1e6 - resolutionMs);
      histogram.reset();
    }, everyMs);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#histogram?.disable();
  }

  isHeldUp(): boolean {
    return this.#delayMs > heldUpMs;
  }
}
