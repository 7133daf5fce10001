import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readHolderFile } from '#adapters/csv/holder-file.ts';
import { PolicyInstaller } from '#adapters/sqlite/policy-installer.ts';
import { withHolidays } from '#cli/rules-holidays.ts';
import { siteRulesSchema } from '#core/access/site-rules.ts';
import { parseYaml } from '#core/config/yaml-document.ts';
import { typeA } from './cards.ts';
import { utcOf } from './times.ts';

/** A policy as an administrator writes it. */
export interface PolicyFiles {
  /**
   * rules of the site in YAML, without their head (`formatVersion`, `organization`, and `profiles`, of which there is
   * Type A alone where none stand there)
   */
  readonly rules?: string;
  /** complete list of holders in CSV, with its first line */
  readonly holders?: string;
  /** local time at which an issuer has confirmed the policy; absent: nobody does */
  readonly confirmed?: string;
}

const defaultProfiles = `[{ id: ${typeA}, userNumberFormat: { alphabet: digits, minimumLength: 5, maximumLength: 5 } }]`;

/** YAML below lines that are put before it, which are set in as far as its first line is. */
export function under(head: string, yaml: string): string {
  const indent = /^\n*( *)/.exec(yaml)?.[1] ?? '';
  return head.replaceAll(/^(?=.)/gm, indent) + yaml.replace(/^\n+/, '');
}

/** Installs into the state directory `folder`, as `kazasu policy import` does beside a running terminal. */
export async function installPolicy(
  folder: string,
  { rules, holders, confirmed }: PolicyFiles,
  nowMs: number,
): Promise<void> {
  const installer = new PolicyInstaller({ file: join(folder, 'policy.sqlite') });
  await installer.start();
  try {
    if (rules !== undefined) await installer.installRules(siteRules(rules, nowMs), nowMs);
    if (holders !== undefined) await importHolders(installer, join(folder, 'holders.csv'), holders, nowMs);
    const whole = confirmed === undefined ? undefined : await installer.rules();
    if (whole && confirmed !== undefined)
      await installer.installRules(whole, nowMs, { freshAtMs: utcOf(confirmed) });
  } finally {
    await installer.stop();
  }
}

function siteRules(text: string, nowMs: number) {
  const profiles = /^ *profiles:/m.test(text) ? '' : `profiles: ${defaultProfiles}\n`;
  const whole = under(`formatVersion: 1\norganization: kazasu-city\n${profiles}`, text);
  return withHolidays(parseYaml(whole, 'rules.yaml', siteRulesSchema, 'policy-import-refused'), nowMs).rules;
}

async function importHolders(
  installer: PolicyInstaller,
  file: string,
  list: string,
  nowMs: number,
): Promise<void> {
  const rules = await installer.rules();
  if (!rules) throw new Error('rules come before holders');
  writeFileSync(file, list.trim().replaceAll(/^ +/gm, ''));
  const rows = readHolderFile({ file, encoding: 'utf-8', mode: 'complete', rules });
  const confirm = async () => true;
  const outcome = await installer.importHolders({ mode: 'complete', dryRun: false, nowMs, rows, confirm });
  rmSync(file);
  if (outcome.kind !== 'installed') throw new Error(JSON.stringify(outcome));
}
