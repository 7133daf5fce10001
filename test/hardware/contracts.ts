import type { Machine } from './machine.ts';

interface Results {
  readonly numTotalTests: number;
  readonly numPassedTests: number;
  readonly testResults: readonly {
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

/**
 * Runs the contract suites of `in-machine/NAME.contract.ts` in the machine, on the interfaces of its kernel; resolves with
 * how many tests passed. Rejects unless every test did.
 */
export async function contractSuites(machine: Machine, name: string): Promise<string> {
  const output = await machine.run(
    `cd /opt/kazasu; here=$PWD; . scripts/node-path
rm -f /run/contracts
node node_modules/vitest/vitest.mjs run --config ${folder}/vitest.config.ts --reporter=json --outputFile=/run/contracts ${name}.contract.ts > /run/vitest 2>&1
[ -s /run/contracts ] || { cat /run/vitest; exit 1; }
cat /run/contracts`,
    withinMs,
  );
  const results = JSON.parse(output) as Results;
  const { numTotalTests: total, numPassedTests: passed } = results;
  if (total > 0 && passed === total) return `${passed} tests`;
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
