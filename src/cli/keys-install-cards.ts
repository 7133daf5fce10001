import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { fingerprint, isFingerprint } from '#adapters/sealed/receiving-key.ts';
import { SealedCardKeys } from '#adapters/sealed/sealed-card-keys.ts';
import { Fault } from '#core/fault.ts';
import { loadKeySource } from '#terminal/config.ts';
import { counted } from './counted.ts';
import { createOutput } from './output.ts';

/** `keys install-cards`: what the centre exported, at the terminal. */
export function registerKeysInstallCards(keys: Command): void {
  keys
    .command('install-cards')
    .description('Install the card keys that the centre exported for this terminal, whole or not at all')
    .argument('<file>', 'File from `keys export-cards`')
    .requiredOption('--config <file>', 'Configuration of the terminal, with keys of the kind card-keys')
    .requiredOption(
      '--fingerprint <text>',
      'Fingerprint of the file as the centre’s command showed it, learned another way',
    )
    .action(async (file: string, options: { config: string; fingerprint: string }, command: Command) => {
      const output = createOutput(command.optsWithGlobals<{ json?: boolean }>().json ?? false);
      const source = await loadKeySource(options.config);
      if (source.kind !== 'card-keys') {
        throw new Fault('argument-invalid', `${options.config}: this terminal holds no card keys`);
      }
      const content = await readFile(file);
      if (!isFingerprint(options.fingerprint, fingerprint(content))) {
        throw new Fault('argument-invalid', `${file} has another fingerprint: ask the centre’s again`);
      }
      const installed = await new SealedCardKeys(source).install(content);
      const { terminal, exportId, exportedAt, count } = installed;
      output.result(
        { terminal, exportId, exportedAt, count },
        `installed the keys of ${counted(count, 'card')} exported at ${exportedAt}; they serve from the next tap`,
      );
    });
}
