import { type Building, building } from './building.ts';
import { hardwareOf } from './wiring.ts';

export const front = 'front';
export const staff = '10234';
export const colleague = '10235';
export const reception = '20001';
export const guard = '30001';
/** needs longer than others */
export const slow = '40001';

export interface FrontDoorPlan {
  /** of the door in the policy, such as `toggle: { groups: [reception] }` */
  readonly rules?: string;
  /** of the hall in the policy, such as `passback: { mode: hard }` */
  readonly hall?: string;
  /** sections of the policy beside those that `frontDoor` writes */
  readonly site?: string;
  /** of the door in the terminal's configuration, such as `strikeTime: 2 s` */
  readonly settings?: string;
  /** of the door: by default a strike, a contact and an exit request */
  readonly hardware?: string;
  /** sections of the terminal's configuration beside those that `frontDoor` writes */
  readonly terminal?: string;
  readonly at?: string;
}

/** An entrance from the street to a hall, with a reader on either side, where everybody of the list may pass. */
export function frontDoor({
  rules = '',
  hall = '',
  site = '',
  settings = '',
  hardware = hardwareOf(1),
  terminal = '',
  at = '2026-11-16 12:00',
}: FrontDoorPlan = {}): Promise<Building> {
  return building({
    at,
    rules: `
      schedules:
        - id: hours
          periods: [{ days: [mon], from: "12:05", to: "12:15" }, { days: [mon], from: "12:20", to: "12:30" }]
      groups: [staff, reception, guards, slow]
      longerAccess: [slow]
      lockdown: { exempt: [guards] }
      zones: [{ id: hall, ${hall} }]
      doors: [{ id: front, ${rules} }]
      permissions:
        ${['staff', 'reception', 'guards', 'slow'].map((group) => `- { group: ${group}, door: front }`).join('\n        ')}
      ${site}`,
    holders: `user_number,groups
      ${staff},staff
      ${colleague},staff
      ${reception},reception
      ${guard},guards
      ${slow},slow`,
    terminal: `
readers:
  - { id: front-in, name: front-in, door: front, from: street, to: hall }
  - { id: front-out, name: front-out, door: front, from: hall, to: street }
doors:
  - { id: front, hardware: ${hardware}, ${settings} }
inputs:
${conditions.map((id, at) => `  - { id: ${id}, hardware: { chip: main, line: ${100 + at}, active: high } }`).join('\n')}
automation:
${conditions.map((id) => `  - { when: { input: ${id} }, do: [{ condition: ${id}, set: on }] }\n  - { when: { input: ${id}, is: off }, do: [{ condition: ${id}, set: off }] }`).join('\n')}
${terminal}`,
  });
}

const conditions = ['lockdown', 'evacuation', 'fire'];

export function isLocked(b: Building, door = front): boolean {
  return b.door(door).wires().locked;
}

/** What the journal tells of a door, in its order. */
export function eventsAt(b: Building, door = front): readonly unknown[] {
  return b.entries('door').flatMap(({ body }) => (body.door === door ? [body.event] : []));
}

/** Opens the leaf, or closes it, and lets the contact be believed. */
export async function leaf(b: Building, state: 'open' | 'closed'): Promise<void> {
  if (state === 'open') b.door(front).push();
  else b.door(front).close();
  await b.later('300 ms');
}
