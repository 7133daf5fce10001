import type { Command } from 'commander';
import type { ListedMasterKey } from '#ports/key-vault.ts';
import { keysHelp, withVault } from './key-options.ts';
import { createOutput } from './output.ts';

/** `keys list`: what master keys a vault has. */
export function registerKeysList(keys: Command): void {
  keys
    .command('list')
    .description('List the master keys of a vault by profile, version and check value; keys are never shown')
    .requiredOption('--vault <file>', keysHelp)
    .action(async ({ vault }: { vault: string }, command: Command) => {
      const output = createOutput(command.optsWithGlobals<{ json?: boolean }>().json ?? false);
      const listed = await withVault(vault, (opened) => opened.list());
      output.result({ keys: listed }, listed.map(masterKeyText).join('\n') || 'the vault has no keys');
    });
}

/** One master key in one line, to be compared with the ceremony's record; of an unfit one, why. */
export function masterKeyText(key: ListedMasterKey): string {
  const name = `${key.profileId} version ${key.version}`;
  if ('unfit' in key) return `${name}: unfit, serves no card: ${key.unfit}`;
  return `${name}: AES-${8 * key.length}, ${key.diversification}, check value ${key.checkValue}`;
}
