/** A small building, as its terminal is configured. `wiring` puts what every configuration has before it. */
export const smallBuilding = `
readers:
  - { id: front-in, name: front-in, door: front, from: street, to: hall }
  - { id: front-out, name: front-out, door: front, from: hall, to: street }
  - { id: lab-in, name: lab-in, door: lab, from: hall, to: lab }
  - { id: lab-out, name: lab-out, door: lab, from: lab, to: hall }
doors:
  - id: front
    hardware: ${hardwareOf(1)}
  - id: lab
    hardware: ${hardwareOf(2)}
inputs:
${['lockdown', 'lab-lockdown', 'all-clear', 'lab-clear', 'evacuation', 'fire', 'threat-3', 'threat-9', 'calm']
  .map((id, at) => `  - { id: ${id}, hardware: { chip: main, line: ${100 + at}, active: high } }`)
  .join('\n')}
automation:
  - { when: { input: lockdown }, do: [{ condition: lockdown, set: on }] }
  - { when: { input: lab-lockdown }, do: [{ condition: lockdown, set: on, zones: [lab] }] }
  - { when: { input: lab-clear }, do: [{ condition: lockdown, set: off, zones: [lab] }] }
  - { when: { input: evacuation }, do: [{ condition: evacuation, set: on }] }
  - { when: { input: fire }, do: [{ condition: fire, set: on, zones: [lab] }] }
  - { when: { input: fire, is: off }, do: [{ condition: fire, set: off, zones: [lab] }] }
  - when: { input: all-clear }
    do: [{ condition: lockdown, set: off }, { condition: evacuation, set: off }]
  - { when: { input: threat-3 }, do: [{ threatLevel: 3 }] }
  - { when: { input: threat-9 }, do: [{ threatLevel: 9 }] }
  - { when: { input: calm }, do: [{ threatLevel: 0 }] }
`;

/** Strike, contact and exit request of the door that is the nth of its terminal. */
export function hardwareOf(nth: number): string {
  const input = (at: number) => `{ chip: main, line: ${10 * nth + at}, active: high }`;
  return `{ strike: { kind: usb-relay, serial: QAAMZ, relay: ${nth} }, contact: ${input(0)}, exitRequest: ${input(1)} }`;
}
