import { type Building, building } from './building.ts';
import type { PremisesPlan, Tapped } from './premises.ts';
import { hardwareOf } from './wiring.ts';

export const one = '10234';
export const other = '10235';
export const third = '10236';
/** has the master card */
export const chief = '20001';

/** Rules of a site where everybody may pass the door to the hall, with `more` sections, such as `services`. */
export function counterRules(more: string, hall = ''): string {
  return `
      groups: [staff, chiefs]
      master: { groups: [chiefs], freshFor: 1 d }
      zones: [{ id: hall, ${hall} }]
      doors: [{ id: front }]
      permissions: [{ group: staff, door: front }]
      ${more}`;
}

/**
 * A counter at a door, with readers that are for one thing each, such as `{ lend: 'service: { id: library, action: lend,
 * item: book }' }`.
 */
export function counter(
  rules: string,
  readers: { readonly [id: string]: string },
  plan: Pick<PremisesPlan, 'name'> = {},
): Promise<Building> {
  const lines = Object.entries(readers).map(
    ([id, service]) => `  - { id: ${id}, name: ${id}, door: front, from: street, to: hall, ${service} }`,
  );
  return building({
    ...plan,
    rules,
    holders: `user_number,groups
      ${one},staff
      ${other},staff
      ${third},staff
      ${chief},chiefs`,
    terminal: `
readers:
${lines.join('\n')}
doors: [{ id: front, hardware: ${hardwareOf(1)} }]
`,
  });
}

/** What a tap made of the fact `key`, about its holder where nothing else is said; undefined where it left it alone. */
export function changed(
  { entry }: Tapped,
  key: string,
  about: 'holder' | 'terminal' = 'holder',
): { readonly value?: unknown } | undefined {
  const changes = (entry.body.changes ?? []) as readonly { key: string; about: string; value?: unknown }[];
  const found = changes.find((change) => change.key === key && change.about === about);
  return found && ('value' in found ? { value: found.value } : {});
}
