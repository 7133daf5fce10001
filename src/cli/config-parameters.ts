import type { Command } from 'commander';
import { z } from 'zod';
import { type Parameter, parameterSheet } from '#core/config/parameter-sheet.ts';
import { terminalConfigSchema } from '#core/config/terminal-config.ts';
import { parseYaml } from '#core/config/yaml-document.ts';
import { issuanceConfigSchema, parseIssuanceConfig } from '#issuance/config.ts';
import { loadTerminalConfig } from '#terminal/config.ts';
import { readTextFile } from '#terminal/text-file.ts';
import { isIssuance } from './config-check.ts';
import { createOutput } from './output.ts';

export function registerConfigParameters(config: Command): void {
  config
    .command('parameters')
    .description('List every parameter with its default, the value in force and the reason where it differs')
    .argument('<file>', 'Configuration, such as device-config/terminals/entrance.yaml')
    .option('--changed', 'Only the parameters that differ from their default')
    .action(async (file: string, { changed }: { changed?: boolean }, command: Command) => {
      const output = createOutput(command.optsWithGlobals<{ json?: boolean }>().json ?? false);
      const sheet = await sheetOf(file);
      const rows = changed ? sheet.filter(({ differs }) => differs) : sheet;
      output.result(rows, rows.map(line).join('\n'));
    });
}

/** Of a configuration without a problem. */
async function sheetOf(file: string): Promise<readonly Parameter[]> {
  const text = await readTextFile(file);
  const written = parseYaml(text, file, z.record(z.string(), z.unknown()), 'config-invalid');
  if (isIssuance(written)) {
    parseIssuanceConfig(text, file);
    return parameterSheet(issuanceConfigSchema, written);
  }
  await loadTerminalConfig(file);
  return parameterSheet(terminalConfigSchema, written);
}

function line({ path, value, default: standard, differs, reason, description }: Parameter): string {
  const shown = `${path} = ${text(value)}`;
  if (!differs)
    return `${shown}${standard === undefined ? '' : ' (default)'}${description ? `   # ${description}` : ''}`;
  return `${shown} (default ${text(standard)}; ${reason ?? 'no reason given'})`;
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
