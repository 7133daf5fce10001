import { isFault } from '#core/fault.ts';

/** Where a command's result goes: text for a person, or one JSON document for a machine (`--json`). */
export interface Output {
  readonly json: boolean;
  /** Writes the result once: `value` under `--json`, else `text`. */
  result(value: unknown, text: string): void;
  /** Progress and remarks, on standard error; silent under `--json`. */
  note(text: string): void;
}

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

/** Prints why a command failed and sets a non-zero exit code. Faults are one line with their code; bugs keep their stack. */
export function reportFailure(error: unknown, json: boolean): void {
  process.exitCode = 1;
  if (json) {
    const failure = isFault(error)
      ? { fault: error.code, message: error.message }
      : { fault: 'bug', message: error instanceof Error ? error.message : String(error) };
    process.stdout.write(`${JSON.stringify({ error: failure }, null, 2)}\n`);
  } else if (isFault(error)) {
    process.stderr.write(`kazasu: ${error.code}: ${error.message}\n`);
  } else {
    process.stderr.write(
      `kazasu: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
  }
}
