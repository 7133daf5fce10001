import { setTimeout as pass } from 'node:timers/promises';

/** how long showing one thing may take at most, in milliseconds: emulated, on a busy host */
const longestMs = 900_000;

/** One thing that was to be shown, and what came of it. */
export interface Row {
  readonly what: string;
  readonly result: 'pass' | 'FAIL';
  readonly figure: string;
  readonly seconds: number;
}

/** The table of a run. */
export class Report {
  readonly #rows: Row[] = [];
  readonly #told: (row: Row) => void;

  /** `told` hears of each row that is shown here. */
  constructor(told: (row: Row) => void) {
    this.#told = told;
  }

  get failed(): number {
    return this.#rows.filter(({ result }) => result === 'FAIL').length;
  }

  /** Notes what `check` shows: it fails by throwing, or after 15 minutes, and may resolve with a figure. */
  async show(what: string, check: () => Promise<unknown>): Promise<void> {
    const began = performance.now();
    const seconds = () => Math.round((performance.now() - began) / 1_000);
    const ended = new AbortController();
    const late = pass(longestMs, undefined, { signal: ended.signal }).then(
      () => Promise.reject(new Error(`not shown within ${longestMs / 60_000} minutes`)),
      () => undefined,
    );
    try {
      const figure = await Promise.race([check(), late]);
      this.#note({
        what,
        result: 'pass',
        figure: typeof figure === 'string' ? figure : '',
        seconds: seconds(),
      });
    } catch (error) {
      this.#note({ what, result: 'FAIL', figure: String(error).split('\n')[0] ?? '', seconds: seconds() });
      process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
    } finally {
      ended.abort();
    }
  }

  print(): void {
    const width = Math.max(...this.#rows.map(({ what }) => what.length));
    const table = this.#rows.map(({ what, result, figure, seconds }) =>
      `${what.padEnd(width)}  ${result}  ${String(seconds).padStart(4)} s  ${figure}`.trimEnd(),
    );
    process.stdout.write(
      `\n${table.join('\n')}\n\n${this.#rows.length - this.failed} passed, ${this.failed} failed\n`,
    );
  }

  /** Rows of other tables. */
  take(rows: readonly Row[]): void {
    this.#rows.push(...rows);
  }

  #note(row: Row): void {
    this.#rows.push(row);
    this.#told(row);
    process.stderr.write(`${row.result}  ${row.what}  ${row.seconds} s  ${row.figure}\n`);
  }
}

/** Throws unless `actual` is `expected`. */
export function same<T>(actual: T, expected: T, what: string): void {
  if (actual !== expected) throw new Error(`${what}: ${String(actual)} instead of ${String(expected)}`);
}
