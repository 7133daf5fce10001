/**
 * Many insertions and removals and many restarts of pcscd in one process: no tap may be missed once pcscd is back
 * (5 s), and neither memory nor descriptors may grow. Run in the sandbox:
 * scripts/pcsc-sandbox node test/pcsc/endurance.ts [--insertions 1000] [--restarts 100]
 */
import { parseArgs } from 'node:util';
import { runEndurance } from './endurance-run.ts';

const { values } = parseArgs({
  options: {
    insertions: { type: 'string', default: '1000' },
    restarts: { type: 'string', default: '100' },
  },
});
const report = await runEndurance({
  insertions: Number(values.insertions),
  restarts: Number(values.restarts),
  progress: (text) => process.stderr.write(`${text}\n`),
});
process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
const { missedTaps, slowestRecoveryMs, descriptorGrowth, memoryGrowthMiB } = report;
if (missedTaps > 0 || slowestRecoveryMs > 5_000 || descriptorGrowth > 0 || memoryGrowthMiB > 16)
  process.exitCode = 1;
