import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { Restored, RestoreParts } from '#issuance/backup/restore.ts';
import { commandActor, withIssuance } from './issuance-organization.ts';
import { createOutput } from './output.ts';
import { wholeNumber } from './whole-number.ts';

interface Options {
  readonly config: string;
  readonly to: string;
  readonly from: string;
  readonly keep?: number;
  readonly verify?: boolean;
  readonly json?: boolean;
}

export function registerIssuanceBackup(issuance: Command): void {
  issuance
    .command('backup')
    .description('Copy the server, databases and keys, while it runs; the copy is restored on trial')
    .requiredOption('--config <file>', 'Configuration of the server')
    .requiredOption('--to <folder>', 'Where each backup becomes a folder of its own; for its owner alone')
    .option('--keep <count>', 'Remove the oldest beyond these many', wholeNumber)
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<Options>();
      const output = createOutput(options.json === true);
      const { makeBackup, removeOldBackups } = await import('#issuance/backup/backup.ts');
      const { tryBackup } = await import('#issuance/backup/restore.ts');
      const { version } = await import('#issuance/main.ts');
      const parts = await restoreParts(options.config);
      await withIssuance(options.config, async (issuance) => {
        const folder = await makeBackup(options.to, {
          issuance,
          source: await parts.sourceOf(parts.config),
          program: version(),
          tryOut: (draft, scratch) => tryBackup(draft, scratch, parts),
        });
        const removed = options.keep === undefined ? [] : await removeOldBackups(options.to, options.keep);
        const text = [folder, ...removed.map((name) => `removed ${name}`)].join('\n');
        output.result({ backup: folder, removed }, text);
      });
    });
}

export function registerIssuanceRestore(issuance: Command): void {
  issuance
    .command('restore')
    .description('Bring a backup back on an empty machine, or verify one')
    .requiredOption('--config <file>', 'Configuration of the server; nothing may be where it points')
    .requiredOption('--from <folder>', 'The backup: a folder that `issuance backup` made')
    .option('--verify', 'Only verify: restore into a temporary folder and remove it again')
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<Options>();
      const output = createOutput(options.json === true);
      const { readBackup, restoreBackup, tryBackup } = await import('#issuance/backup/restore.ts');
      const parts = await restoreParts(options.config);
      if (options.verify) {
        const scratch = await mkdtemp(join(tmpdir(), 'kazasu-verify-'));
        try {
          await tryBackup(options.from, join(scratch, 'state'), parts);
        } finally {
          await rm(scratch, { recursive: true, force: true });
        }
        const { madeAtMs } = await readBackup(options.from);
        output.result({ sound: true, madeAtMs }, `sound: made ${moment(madeAtMs)}`);
        return;
      }
      const restored = await restoreBackup(options.from, commandActor(), parts);
      const { madeAtMs, organizations } = restored.manifest;
      output.result(
        { restored: true, madeAtMs, organizations: organizations.map(({ id }) => id) },
        restoredText(restored),
      );
    });
}

function restoredText({ manifest, auditEntries }: Restored): string {
  return [
    `restored as of ${moment(manifest.madeAtMs)}: ${manifest.organizations.length} organizations, ${auditEntries} entries of their records verified`,
    'What was changed later is missing here: suspend again whoever was suspended since, before the server is started.',
    `${moment(manifest.madeAtMs)} の状態に戻しました。以後の変更は失われています。起動する前に、以後に停止した利用者をもう一度停止してください。`,
  ].join('\n');
}

const moment = (atMs: number) => new Date(atMs).toISOString();

async function restoreParts(configFile: string): Promise<RestoreParts> {
  const { openConfigured, readIssuanceConfig } = await import('#issuance/main.ts');
  const { databaseSource } = await import('#issuance/database-source.ts');
  return {
    config: await readIssuanceConfig(configFile),
    sourceOf: databaseSource,
    open: (config) => openConfigured(config, () => undefined),
  };
}
