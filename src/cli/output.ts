import { type Fault, isFault } from '#core/fault.ts';
import { unreadable } from '#core/file-fault.ts';

/** Where a command's result goes: text for a person, or one JSON document for a machine (`--json`). */
export interface Output {
  readonly json: boolean;
  /** Writes the result once: `value` under `--json`, else `text`. */
  result(value: unknown, text: string): void;
  /** Progress and remarks, on standard error; silent under `--json`. */
  note(text: string): void;
}

/** what a shell gives a program that a closed pipe has ended: 128 + SIGPIPE */
const closedPipeCode = 141;

export function createOutput(json: boolean): Output {
  return {
    json,
    result: (value, text) => {
      process.stdout.write(json ? `${JSON.stringify(value, null, 2)}\n` : text === '' ? '' : `${text}\n`);
    },
    note: (text) => {
      if (!json) process.stderr.write(`${text}\n`);
    },
  };
}

/** Ends the program, without a stack trace, when its output can go nowhere any more, as in `| head -1`. */
export function endWithOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(closedPipeCode);
    process.stderr.write(`kazasu: the output cannot be written (${error.code})\n`, () => process.exit(1));
  });
  process.stderr.on('error', () => process.exit(closedPipeCode));
}

/** Prints why a command failed and sets a non-zero exit code. Faults are one line with their code; bugs keep their stack. */
export function reportFailure(error: unknown, json: boolean): void {
  process.exitCode = 1;
  const fault = faultOf(error);
  if (json) {
    const failure = fault
      ? { fault: fault.code, message: fault.message }
      : { fault: 'bug', message: error instanceof Error ? error.message : String(error) };
    process.stdout.write(`${JSON.stringify({ error: failure }, null, 2)}\n`);
  } else if (fault) {
    process.stderr.write(`kazasu: ${fault.code}: ${fault.message}\n`);
  } else {
    process.stderr.write(
      `kazasu: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
  }
}

/** A file that the operating system refused is the caller's matter, not a bug. */
function faultOf(error: unknown): Fault | undefined {
  if (isFault(error)) return error;
  const { path, syscall } = error instanceof Error ? (error as NodeJS.ErrnoException) : {};
  return path !== undefined && syscall !== undefined ? unreadable(path, error) : undefined;
}
