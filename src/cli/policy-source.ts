import type { Command } from 'commander';
import { PolicyReader } from '#adapters/sqlite/policy-reader.ts';
import { siteRulesSchema } from '#core/access/site-rules.ts';
import { parseYaml } from '#core/config/yaml-document.ts';
import { Fault } from '#core/fault.ts';
import { readTextFile } from '#terminal/text-file.ts';
import { withHolidays } from './rules-holidays.ts';

/** A policy to try: a database, or rules in YAML with the holders of a database. */
export interface PolicySource {
  readonly policy: string;
  readonly holders?: string;
}

export function policyOptions(command: Command): Command {
  return command
    .requiredOption('--policy <file>', 'Policy database, or rules in YAML')
    .option('--holders <file>', 'With rules in YAML: the policy database that has the holders');
}

/** Rejects with `argument-invalid`, `config-invalid`, `policy-absent` or database faults; whoever opens it closes it. */
export async function openPolicy({ policy, holders }: PolicySource): Promise<PolicyReader> {
  const isRules = /\.ya?ml$/i.test(policy);
  if (isRules !== (holders !== undefined)) {
    throw new Fault('argument-invalid', 'name --holders with rules in YAML, and only then');
  }
  const rules = isRules
    ? withHolidays(
        parseYaml(await readTextFile(policy), policy, siteRulesSchema, 'config-invalid'),
        Date.now(),
      ).rules
    : undefined;
  const reader = new PolicyReader(holders ?? policy, { rules });
  if (!reader.version()) {
    reader.close();
    throw new Fault('policy-absent', `no policy is installed in ${holders ?? policy}`);
  }
  return reader;
}
