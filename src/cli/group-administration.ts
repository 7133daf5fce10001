import { Fault } from '#core/fault.ts';
import type { Text } from '#core/texts/language.ts';
import { inOrder } from '#issuance/permissions/holder-state.ts';
import type { OrganizationServices } from '#issuance/services.ts';
import {
  commandPrincipal,
  type OrganizationOptions,
  withOrganizationServices,
} from './organization-services.ts';
import { createOutput } from './output.ts';

const atOnce = 500;

/** Lists the groups of the rules in force, and how many holders each has. */
export async function listGroups(options: OrganizationOptions): Promise<void> {
  await withOrganizationServices(options, async ({ rules, holders }) => {
    const version = (await rules.list()).find(({ state }) => state === 'in-force')?.version ?? 0;
    const counts = new Map<string, number>(
      (await rules.find(version))?.rules.groups.map((group) => [group, 0]),
    );
    for await (const { state } of allHolders(holders)) {
      for (const group of state.groups) counts.set(group, (counts.get(group) ?? 0) + 1);
    }
    const groups = [...counts].map(([group, count]) => ({ group, holders: count }));
    const text = groups.map((one) => `${one.group}\t${one.holders}`).join('\n');
    createOutput(options.json === true).result({ groups }, text);
  });
}

export async function showGroup(group: string, options: OrganizationOptions): Promise<void> {
  await withOrganizationServices(options, async ({ holders }) => {
    const ids: string[] = [];
    for await (const { holderId } of allHolders(holders, group)) ids.push(holderId);
    createOutput(options.json === true).result({ group, holders: ids }, ids.join('\n'));
  });
}

/** Puts holders into a group, or takes them out, one after another. Rejects with `argument-invalid` at the first that cannot be. */
export async function changeGroup(
  change: 'add' | 'remove',
  { group, ids }: { readonly group: string; readonly ids: readonly string[] },
  options: OrganizationOptions,
): Promise<void> {
  await withOrganizationServices(options, async ({ holders }) => {
    const moved: string[] = [];
    for (const id of ids) {
      if (await changeOne(holders, id, (groups) => regrouped(groups, group, change))) moved.push(id);
    }
    const text = `${group}: ${moved.join(' ')}${moved.length > 0 ? ' ' : ''}${said(change, moved)[options.language]}`;
    createOutput(options.json === true).result(
      { group, [change === 'add' ? 'added' : 'removed']: moved },
      text,
    );
  });
}

function regrouped(groups: readonly string[], group: string, change: 'add' | 'remove'): readonly string[] {
  const others = groups.filter((one) => one !== group);
  return change === 'add' ? [...others, group] : others;
}

/** Whether anything had to be changed. */
async function changeOne(
  holders: OrganizationServices['holders'],
  id: string,
  groupsOf: (groups: readonly string[]) => readonly string[],
): Promise<boolean> {
  const before = await holders.find(id);
  if (!before) throw new Fault('argument-invalid', `there is no holder "${id}"; those before it are done`);
  const groups = groupsOf(before.state.groups);
  const state = inOrder({ ...before.state, groups });
  const outcome = await holders.put(id, state, before.changeNumber, commandPrincipal());
  if (outcome.kind === 'done') return outcome.holder.changeNumber !== before.changeNumber;
  const why = outcome.kind === 'invalid' ? outcome.problems.map(({ text }) => text).join('; ') : outcome.kind;
  throw new Fault('argument-invalid', `${id}: ${why}; those before it are done`);
}

async function* allHolders(holders: OrganizationServices['holders'], group?: string) {
  for (let after = ''; ; ) {
    const page = await holders.page(after, atOnce, group === undefined ? {} : { group });
    yield* page;
    const last = page.at(-1);
    if (!last) return;
    after = last.holderId;
  }
}

function said(change: 'add' | 'remove', moved: readonly string[]): Text {
  if (moved.length === 0) return { ja: '変更なし', en: 'nothing to change' };
  return change === 'add' ? { ja: '追加した', en: 'added' } : { ja: '外した', en: 'removed' };
}
