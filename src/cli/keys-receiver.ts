import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { isMissing } from '#adapters/process/durable-file.ts';
import {
  describeReceiver,
  makeReceivingKey,
  receiverFingerprint,
  receivingKeyFile,
} from '#adapters/sealed/receiving-key.ts';
import { Fault } from '#core/fault.ts';
import { loadKeySource, loadTerminalConfig } from '#terminal/config.ts';
import { createOutput } from './output.ts';

interface ReceiverOptions {
  readonly config: string;
  readonly out: string;
  readonly json?: boolean;
}

/** `keys receiver`: what the centre needs to export card keys for this terminal. */
export function registerKeysReceiver(keys: Command): void {
  keys
    .command('receiver')
    .description('Write what the centre needs to export card keys for this terminal; made at the first call')
    .requiredOption('--config <file>', 'Configuration of the terminal, with keys of the kind card-keys')
    .requiredOption('--out <file>', 'File for the centre; it holds no secret')
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<ReceiverOptions>();
      const output = createOutput(options.json === true);
      const receiver = await receiverOf(options.config);
      await writeFile(options.out, `${JSON.stringify(receiver, null, 2)}\n`, { mode: 0o644 });
      const { terminal } = receiver;
      output.result(
        { terminal, fingerprint: receiverFingerprint(receiver), file: options.out },
        `${options.out}: terminal ${terminal}, fingerprint ${receiverFingerprint(receiver)}; compare it with the centre’s by voice`,
      );
    });
}

async function receiverOf(config: string) {
  const source = await loadKeySource(config);
  if (source.kind !== 'card-keys') {
    throw new Fault('argument-invalid', `${config}: this terminal holds no card keys, but ${source.kind}`);
  }
  const { directory, sealing } = source;
  if (!(await isMissing(receivingKeyFile(directory)))) return describeReceiver(directory, sealing);
  const { terminal } = (await loadTerminalConfig(config)).config;
  return makeReceivingKey(directory, { sealing, terminal });
}
