import { setTimeout as pass } from 'node:timers/promises';

/** how long showing one thing may take at most, in milliseconds: emulated, on a busy host */
const longestMs = 600_000;

/** One thing that was to be shown, and what came of it. */
interface Row {
  readonly what: string;
  readonly result: 'pass' | 'FAIL';
  readonly figure: string;
}

/** The table of a run. */
export class Report {
  readonly #rows: Row[] = [];

  get failed(): number {
    return this.#rows.filter(({ result }) => result === 'FAIL').length;
  }

  /** Notes what `check` shows: it fails by throwing, or after ten minutes, and may resolve with a figure. */
  async show(what: string, check: () => Promise<unknown>): Promise<void> {
    const ended = new AbortController();
    const late = pass(longestMs, undefined, { signal: ended.signal }).then(
      () => Promise.reject(new Error(`not shown within ${longestMs / 60_000} minutes`)),
      () => undefined,
    );
    try {
      const figure = await Promise.race([check(), late]);
      this.#note({ what, result: 'pass', figure: typeof figure === 'string' ? figure : '' });
    } catch (error) {
      this.#note({ what, result: 'FAIL', figure: String(error).split('\n')[0] ?? '' });
      process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
    } finally {
      ended.abort();
    }
  }

  print(): void {
    const width = Math.max(...this.#rows.map(({ what }) => what.length));
    const table = this.#rows.map(({ what, result, figure }) =>
      `${what.padEnd(width)}  ${result}  ${figure}`.trimEnd(),
    );
    process.stdout.write(
      `\n${table.join('\n')}\n\n${this.#rows.length - this.failed} passed, ${this.failed} failed\n`,
    );
  }

  #note(row: Row): void {
    this.#rows.push(row);
    process.stderr.write(`${row.result}  ${row.what}  ${row.figure}\n`);
  }
}

/** Throws unless `actual` is `expected`. */
export function same<T>(actual: T, expected: T, what: string): void {
  if (actual !== expected) throw new Error(`${what}: ${String(actual)} instead of ${String(expected)}`);
}
