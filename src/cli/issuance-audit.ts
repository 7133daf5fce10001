import type { Command } from 'commander';
import { Fault } from '#core/fault.ts';
import type { VerifyReport } from '#core/journal/verify-report.ts';
import { readTextFile } from '#terminal/text-file.ts';
import { withIssuance } from './issuance-organization.ts';
import { createOutput } from './output.ts';

interface Options {
  readonly config: string;
  readonly organization?: string;
  readonly publicKey?: string;
  readonly json?: boolean;
}

export function registerIssuanceAudit(issuance: Command): void {
  issuance
    .command('audit')
    .description('Verify the record of what administrators did: its hash chain and the signatures under it')
    .requiredOption('--config <file>', 'Configuration of the server')
    .option('--organization <id>', "One organization's record alone; all and the platform's where absent")
    .option('--public-key <file>', 'Key of the server as kept elsewhere (PEM); its own where absent')
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<Options>();
      const output = createOutput(options.json === true);
      await withIssuance(options.config, async ({ organizations, services, signing }) => {
        const key =
          options.publicKey === undefined ? signing.publicKey() : await readTextFile(options.publicKey);
        const reports: { journal: string; report: VerifyReport }[] = [];
        if (options.organization === undefined) {
          reports.push({
            journal: 'platform',
            report: await (await organizations.platformAudit()).verify([key]),
          });
        }
        const ids = (await organizations.list()).map(({ id }) => id);
        for (const id of options.organization === undefined ? ids : [options.organization]) {
          const found = await services.find(id);
          if (!found) throw new Fault('argument-invalid', `there is no organization "${id}"`);
          reports.push({ journal: id, report: await found.audit.verify([key]) });
        }
        output.result({ journals: reports }, reports.map(reportText).join('\n'));
        if (reports.some(({ report }) => !report.sound)) {
          throw new Fault('journal-broken', 'the record was changed; what is above names the entries');
        }
      });
    });
}

function reportText({ journal, report }: { journal: string; report: VerifyReport }): string {
  const signed = Math.max(
    0,
    ...report.chains.flatMap(({ segments }) => segments.map((one) => one.signedThrough ?? 0)),
  );
  const head = `${journal}: ${report.entries} entries, signed up to entry ${signed}, ${report.sound ? 'sound' : 'CHANGED'}`;
  return [head, ...report.findings.map(({ text }) => `  ${text}`)].join('\n');
}
