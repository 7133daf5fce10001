import { type Building, building } from './building.ts';

/** Holders of `peopleSite`, by name and what they are. */
export const hana = '10001';
export const ken = '10002';
export const mio = '10003';
export const guest = '10004';
export const guard = '10005';
export const chief = '10006';

const holders = `user_number,groups
  ${hana},staff
  ${ken},staff
  ${mio},staff
  ${guest},guests
  ${guard},staff;guards
  ${chief},chiefs`;

export interface SiteParts {
  readonly zones?: string;
  /** members of the doors, without `id` */
  readonly front?: string;
  readonly lab?: string;
  /** members of the site, one a line */
  readonly site?: string;
  readonly permissions?: string;
  readonly terminal?: string;
  readonly at?: string;
  readonly confirmed?: string;
  readonly pinDigits?: readonly [minimum: number, maximum: number];
}

export const everywhere = `
        - { group: staff, door: front }
        - { group: staff, door: lab }
        - { group: guests, door: front }
        - { group: guests, door: lab }`;

export function peopleRules({
  zones = '[{ id: hall }, { id: lab }]',
  front = '',
  lab = '',
  site = '',
  permissions = everywhere,
}: SiteParts): string {
  return `
      groups: [staff, guests, guards, chiefs]
      schedules: [{ id: evening, periods: [{ days: [mon], from: "18:00", to: "22:00" }] }]
      zones: ${zones}
      doors:
        - { id: front, ${front} }
        - { id: lab, ${lab} }
      permissions: ${permissions}
      ${site}`;
}

/** The small building at noon on a Monday, whose staff and guests pass both doors unless `parts` say otherwise. */
export function peopleSite(parts: SiteParts = {}): Promise<Building> {
  const { terminal, at, confirmed, pinDigits } = parts;
  return building({
    rules: peopleRules(parts),
    holders,
    ...(terminal !== undefined && { terminal }),
    ...(at !== undefined && { at }),
    ...(confirmed !== undefined && { confirmed }),
    ...(pinDigits && { pinDigits }),
  });
}
