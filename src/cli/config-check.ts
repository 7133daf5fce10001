import type { Command } from 'commander';
import { z } from 'zod';
import { siteRulesSchema } from '#core/access/site-rules.ts';
import { cardProfileSchema } from '#core/card/profile.ts';
import { sealingRemark } from '#core/config/key-source.ts';
import { parseYaml } from '#core/config/yaml-document.ts';
import { parseIssuanceConfig } from '#issuance/config.ts';
import { loadKeySource, loadTerminalConfig } from '#terminal/config.ts';
import { readTextFile } from '#terminal/text-file.ts';
import { counted } from './counted.ts';
import { createOutput } from './output.ts';

interface Checked {
  readonly value: object;
  readonly lines: readonly string[];
}

export function registerConfigCheck(config: Command): void {
  config
    .command('check')
    .description(
      'Check a configuration of a terminal or of a server, a card profile, a site’s rules or a source of keys; every problem with its line',
    )
    .argument('<file>', 'YAML file, such as device-config/terminals/entrance.yaml')
    .action(async (file: string, _options: unknown, command: Command) => {
      const output = createOutput(command.optsWithGlobals<{ json?: boolean }>().json ?? false);
      const { value, lines } = await check(file);
      output.result({ file, valid: true, ...value }, [`${file}: valid`, ...lines].join('\n'));
    });
}

/** Tells by a key that only one kind of file has what `file` is, and checks it as that. */
async function check(file: string): Promise<Checked> {
  const text = await readTextFile(file);
  const keys = parseYaml(text, file, z.record(z.string(), z.unknown()), 'config-invalid');
  if ('application' in keys) {
    const { id, method, synthetic } = parseYaml(text, file, cardProfileSchema, 'profile-invalid');
    return {
      value: { kind: 'card-profile', id, method, synthetic },
      lines: [`card profile ${id}: ${method}${synthetic ? ', synthetic' : ''}`],
    };
  }
  if ('permissions' in keys || 'groups' in keys) {
    const { organization, doors, groups } = parseYaml(text, file, siteRulesSchema, 'config-invalid');
    return {
      value: { kind: 'site-rules', organization, doors: doors.map(({ id }) => id), groups },
      lines: [
        `rules of ${organization}: ${counted(doors.length, 'door')}, ${counted(groups.length, 'group')}`,
      ],
    };
  }
  if ('kind' in keys) return checkKeySource(file);
  if (isIssuance(keys)) return checkIssuance(text, file);
  return checkTerminal(file);
}

/** Whether a configuration with these keys is one of an issuance server. */
export function isIssuance(keys: Readonly<Record<string, unknown>>): boolean {
  return ['database', 'http', 'terminals'].some((key) => key in keys);
}

function checkIssuance(text: string, file: string): Checked {
  const { database, http, terminals } = parseIssuanceConfig(text, file);
  const broker = terminals?.broker.kind;
  return {
    value: { kind: 'issuance', database: database.kind, ...(broker !== undefined && { broker }) },
    lines: [
      `issuance server: ${database.kind}, people at ${http.host}:${http.port}`,
      broker === undefined ? 'serves no terminals' : `terminals by the broker ${broker}`,
    ],
  };
}

async function checkKeySource(file: string): Promise<Checked> {
  const source = await loadKeySource(file);
  const remarks = [sealingRemark(source)].filter((remark) => remark !== undefined);
  return {
    value: { kind: 'key-source', keys: source.kind, remarks },
    lines: [`keys: ${source.kind}`, ...remarks.map((remark) => `remark: ${remark}`)],
  };
}

async function checkTerminal(file: string): Promise<Checked> {
  const { config, profiles, keys } = await loadTerminalConfig(file);
  const remarks = [keys && sealingRemark(keys)].filter((remark) => remark !== undefined);
  return {
    value: {
      kind: 'terminal',
      terminal: config.terminal,
      readers: config.readers.map(({ id, name, door }) => ({ id, name, door })),
      doors: config.doors.map(({ id }) => id),
      profiles: profiles.map(({ id, method, synthetic }) => ({ id, method, synthetic })),
      remarks,
    },
    lines: [
      ...config.readers.map(({ id, name, door }) => `reader ${id}: "${name}" opens door ${door}`),
      ...profiles.map(
        ({ id, method, synthetic }) => `profile ${id}: ${method}${synthetic ? ', synthetic' : ''}`,
      ),
      ...remarks.map((remark) => `remark: ${remark}`),
    ],
  };
}
