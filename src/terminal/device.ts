import { readFileSync } from 'node:fs';
import { parameterSheet } from '#core/config/parameter-sheet.ts';
import { terminalConfigSchema } from '#core/config/terminal-config.ts';
import type { Device } from './command-inquiries.ts';
import type { LoadedConfig } from './config.ts';

/** What diagnostics tell of this device: the program, what runs it, its configuration, its keys. */
export function deviceOf(
  { written }: Pick<LoadedConfig, 'written'>,
  parts: {
    readonly keys: () => string | undefined;
    readonly failures: readonly string[];
    readonly restart: () => void;
  },
): Device {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  const versions = {
    kazasu: version,
    node: process.versions.node,
    platform: `${process.platform} ${process.arch}`,
  };
  return {
    about: () => {
      const keys = parts.keys();
      const parameters = parameterSheet(terminalConfigSchema, written).map(({ path, value }) => ({
        name: path,
        value: typeof value === 'string' ? value : JSON.stringify(value),
      }));
      const failures = parts.failures.length > 0 && { failures: [...parts.failures] };
      return { versions, parameters, ...(keys !== undefined && { keys }), ...failures };
    },
    restart: parts.restart,
  };
}
