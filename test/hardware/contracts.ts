import { basename } from 'node:path';
import { type Device, withFolder } from './device.ts';
import type { Machine } from './machine.ts';
import type { Report } from './report.ts';
import { unit } from './unit.ts';

interface Results {
  readonly numTotalTests: number;
  readonly numPassedTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly message: string;
    readonly assertionResults: readonly {
      readonly status: string;
      readonly fullName: string;
      readonly failureMessages: readonly string[];
    }[];
  }[];
}

const folder = 'test/hardware/in-machine';
/** the whole of a suite, in milliseconds: less than a row of the table may take, as this says what it waited for */
const withinMs = 840_000;

/** The contract suites of door, indicator, pin pad and reader, run in the machine on the interfaces of its kernel. */
export function contracts(device: Device, report: Report): Promise<void> {
  return withFolder(async (folder) => {
    const machine = await device.start('resumed', folder);
    try {
      await machine.run(`systemctl stop ${unit}; emulated-device -1; modprobe uhid`);
      await report.show('contract suites of door, indicator, pin pad and reader on the kernel', () =>
        contractSuites(machine),
      );
    } finally {
      await machine.cut();
    }
  });
}

/** Runs `in-machine/*.contract.ts`; resolves with how many tests passed of each. Rejects unless every test did. */
async function contractSuites(machine: Machine): Promise<string> {
  const output = await machine.run(
    `cd /opt/kazasu; here=$PWD; . scripts/node-path
# what the terminal starts is compiled already, as it is for the terminal
export NODE_COMPILE_CACHE=$PWD/dist/code
node node_modules/vitest/vitest.mjs run --config ${folder}/vitest.config.ts --reporter=json --outputFile=/run/contracts > /run/vitest 2>&1
[ -s /run/contracts ] || { cat /run/vitest; exit 1; }
cat /run/contracts`,
    withinMs,
  );
  const results = JSON.parse(output) as Results;
  const { numTotalTests: total, numPassedTests: passed } = results;
  if (total > 0 && passed === total)
    return results.testResults
      .map(({ name, assertionResults }) => `${basename(name, '.contract.ts')} ${assertionResults.length}`)
      .join(', ');
  const failures = results.testResults.flatMap(({ message, assertionResults }) => [
    message,
    ...assertionResults
      .filter(({ status }) => status !== 'passed')
      .map(
        ({ status, fullName, failureMessages }) => `${status}: ${fullName}\n${failureMessages.join('\n')}`,
      ),
  ]);
  throw new Error(`${passed} of ${total} tests passed:\n${failures.join('\n')}`);
}
