import { type Building, building } from './building.ts';
import { hardwareOf } from './wiring.ts';

export const staff = '10234';
const inputs = ['key', 'panic', 'panel'];
const outputs = ['siren', 'lamp'];

/** A front door and a lab door with what `automation` says, one rule a line, such as `{ when: { input: key }, do: […] }`. */
export function automated(...automation: readonly string[]): Promise<Building> {
  return building({
    rules: `
      groups: [staff]
      zones: [{ id: hall }, { id: lab }]
      doors: [{ id: front, clearance: [{ fromLevel: 3, needs: 1 }] }, { id: lab }]
      permissions: [{ group: staff, door: front }, { group: staff, door: lab }]`,
    holders: `user_number,groups
      ${staff},staff`,
    terminal: `
readers:
  - { id: front-in, name: front-in, door: front, from: street, to: hall }
  - { id: lab-in, name: lab-in, door: lab, from: hall, to: lab }
doors:
  - { id: front, hardware: ${hardwareOf(1)} }
  - { id: lab, hardware: ${hardwareOf(2)} }
inputs:
${inputs.map((id, at) => `  - { id: ${id}, hardware: { chip: main, line: ${100 + at}, active: high } }`).join('\n')}
outputs:
${outputs.map((id, at) => `  - { id: ${id}, hardware: { kind: usb-relay, serial: QAAMZ, relay: ${5 + at} } }`).join('\n')}
automation:
${automation.map((line) => `  - ${line}`).join('\n')}
`,
  });
}

export const isOn = (b: Building, output: string) => !b.door(`output:${output}`).wires().locked;
/** Entries of inputs, outputs and what they declared. */
export const told = (b: Building) => b.entries('automation').map(({ body }) => body);
