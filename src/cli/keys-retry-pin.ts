import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import type { KeySource } from '#core/config/key-source.ts';
import { Fault, isFault } from '#core/fault.ts';
import { tokenOf } from '#issuance/config.ts';
import { loadKeySource } from '#terminal/config.ts';
import { permitPinTry } from '#terminal/key-source.ts';
import { keysHelp, withVaultOf } from './key-options.ts';
import { createOutput } from './output.ts';

/** how long the try of a terminal is waited for that took the permission first, and how often it is looked at */
const tries = { withinMs: 15_000, everyMs: 500 };

/** `keys retry-pin`: one more try of a PIN that a token refused, or whose try was cut off. */
export function registerKeysRetryPin(keys: Command): void {
  keys
    .command('retry-pin')
    .description('Try the PIN of a token once more, which was refused before or whose try was cut off')
    .option('--vault <file>', keysHelp)
    .option('--config <file>', 'Configuration of an issuance server, whose token counts')
    .addHelpText(
      'after',
      '\nA token counts wrong PINs and locks. First look into the PIN file; a corrected PIN needs no permission.',
    )
    .action(async (of: { vault?: string; config?: string }, command: Command) => {
      const output = createOutput(command.optsWithGlobals<{ json?: boolean }>().json ?? false);
      const source = await sourceOf(of);
      permitPinTry(source);
      await triedBySomebody(source);
      output.result({ taken: true }, 'the token took the PIN; restart a terminal or a server that uses it');
    });
}

async function sourceOf({ vault, config }: { vault?: string; config?: string }): Promise<KeySource> {
  if ((vault === undefined) === (config === undefined))
    throw new Fault('argument-invalid', 'either --vault or --config is needed');
  if (vault !== undefined) return loadKeySource(vault);
  const { readIssuanceConfig } = await import('#issuance/main.ts');
  const token = tokenOf(await readIssuanceConfig(config ?? ''));
  if (!token) throw new Fault('argument-invalid', 'the server of this configuration has no token');
  const { module, token: label, pinFile, directory, timeoutMs } = token;
  return { kind: 'pkcs11', module, token: label, pinFile, directory, timeout: timeoutMs };
}

/**
 * Logs in once. A terminal that waits for the permission may have taken it first: then its try is waited for, which
 * costs the token none, since no PIN is tried while the try of another is not known to have ended.
 */
async function triedBySomebody(source: KeySource): Promise<void> {
  const untilMs = performance.now() + tries.withinMs;
  for (;;) {
    try {
      return await withVaultOf(source, async () => undefined);
    } catch (error) {
      if (!isFault(error, 'key-unavailable') || performance.now() > untilMs) throw error;
      await delay(tries.everyMs);
    }
  }
}
