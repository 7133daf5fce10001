import { stringify } from 'yaml';
import { z } from 'zod';
import { siteRulesSchema } from '#core/access/site-rules.ts';
import { parseYaml } from '#core/config/yaml-document.ts';
import { Fault } from '#core/fault.ts';
import type { JsonValue } from '#core/journal/record.ts';
import type { Language, Text } from '#core/texts/language.ts';
import type { RulesVersion } from '#issuance/permissions/rules-versions.ts';
import type { OrganizationServices } from '#issuance/services.ts';
import { readTextFile } from '#terminal/text-file.ts';
import { commandActor } from './issuance-organization.ts';
import { type OrganizationOptions, withOrganizationServices } from './organization-services.ts';
import { createOutput } from './output.ts';

interface PutOptions extends OrganizationOptions {
  readonly edited?: number;
  readonly check?: boolean;
  readonly from?: number;
}

const states: Readonly<Record<RulesVersion['state'], Text>> = {
  planned: { ja: '予定', en: 'planned' },
  'in-force': { ja: '有効', en: 'in force' },
  replaced: { ja: '旧版', en: 'replaced' },
  cancelled: { ja: '取消', en: 'cancelled' },
};

/** Puts rules in force, or plans them for a moment. Rejects with `policy-import-refused` and everything wrong by line. */
export async function putRules(file: string, options: PutOptions): Promise<void> {
  const text = await readTextFile(file);
  parseYaml(text, file, siteRulesSchema, 'policy-import-refused');
  // as it was written, so that people find their own words again
  const document = parseYaml(text, file, z.unknown(), 'policy-import-refused') as JsonValue;
  const output = createOutput(options.json === true);
  await withOrganizationServices(options, async ({ rules }) => {
    const wrong = rules.check(document);
    if (wrong) throw refused(file, wrong.problems);
    if (options.check) return output.result({ checked: true }, checkedText[options.language]);
    const edited = options.edited ?? (await rules.list())[0]?.version;
    const outcome = await rules.make(
      {
        document,
        ...(options.from !== undefined && { inForceFromMs: options.from }),
        ...(edited !== undefined && { editedVersion: edited }),
      },
      commandActor(),
    );
    if (outcome.kind === 'invalid') throw refused(file, outcome.problems);
    if (outcome.kind === 'changed-meanwhile') {
      throw new Fault(
        'policy-import-refused',
        `version ${edited ?? 0} is not the last one any more; look at what came since (issuance rules list)`,
      );
    }
    output.result(outcome.version, line(outcome.version, options.language));
  });
}

export async function listRules(options: OrganizationOptions): Promise<void> {
  await withOrganizationServices(options, async ({ rules }) => {
    const versions = await rules.list();
    const text = versions.map((one) => line(one, options.language)).join('\n');
    createOutput(options.json === true).result({ versions }, text);
  });
}

/** Prints the rules of a version, or those in force, as they were written (YAML). */
export async function showRules(version: number | undefined, options: OrganizationOptions): Promise<void> {
  await withOrganizationServices(options, async ({ rules }) => {
    const found = await rules.find(version ?? (await inForce(rules)));
    if (!found) throw new Fault('argument-invalid', `there is no version ${version ?? 0} of the rules`);
    const { document, rules: _, ...about } = found;
    createOutput(options.json === true).result({ ...about, document }, stringify(document).trimEnd());
  });
}

export async function cancelRules(version: number, options: OrganizationOptions): Promise<void> {
  await withOrganizationServices(options, async ({ rules }) => {
    if (!(await rules.cancel(version, commandActor()))) {
      throw new Fault('argument-invalid', `version ${version} is not planned, so there is nothing to cancel`);
    }
    const text = `${version}  ${states.cancelled[options.language]}`;
    createOutput(options.json === true).result({ version, state: 'cancelled' }, text);
  });
}

const checkedText: Text = {
  ja: '規則に誤りはない。反映していない',
  en: 'the rules are right; nothing was applied',
};

async function inForce(rules: OrganizationServices['rules']): Promise<number> {
  return (await rules.list()).find(({ state }) => state === 'in-force')?.version ?? 0;
}

function line({ version, state, inForceFromMs, madeBy }: RulesVersion, language: Language): string {
  return [version, states[state][language], new Date(inForceFromMs).toISOString(), madeBy].join('\t');
}

function refused(file: string, problems: readonly { readonly path: string; readonly text: string }[]): Fault {
  const lines = problems.map(({ path, text }) => `${file}: ${path}: ${text}`);
  return new Fault('policy-import-refused', lines.join('\n'));
}
