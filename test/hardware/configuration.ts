/** What an operator would edit in terminal.yaml: one door on the GPIO chip, and the two readers of the machine. */
export interface Wiring {
  readonly active?: 'high' | 'low';
  readonly lockType?: 'fail-secure' | 'fail-safe';
}

const chip = 'pinctrl-bcm2711';
/** by the numbers of the example in docs/commissioning.md */
export const lines = { strike: 17, contact: 27, exitRequest: 5, tamper: 6 } as const;
/** Two readers at the one door: entering, where a meal is counted; and to an event, once. In the order of vpcd's slots. */
export const readers = [
  { name: 'Emulated Reader 00 00', granted: 22, denied: 23 },
  { name: 'Emulated Reader 00 01', granted: 10, denied: 11 },
] as const;

/** terminal.yaml. Deadlines are those of a machine that is emulated, tens of times slower than a device. */
export function terminalYaml({ active = 'high', lockType = 'fail-secure' }: Wiring = {}): string {
  return `formatVersion: 1
terminal: emulated
language: en
cardProfiles: [your-profile.yaml]
keys: { kind: vault-file, file: /var/lib/kazasu/vault, sealing: { passphraseFile: passphrase } }
readers:
${readers.map((reader, slot) => readerYaml(reader, slot)).join('\n')}
doors:
  - id: front
    hardware:
      strike: { kind: gpio, ${at(lines.strike)}, active: ${active}, lockType: ${lockType} }
      contact: { ${at(lines.contact)}, active: high }
      exitRequest: { ${at(lines.exitRequest)}, active: high }
      tamper: { ${at(lines.tamper)}, active: high }
    strikeTime: 2 s
    exitTime: 2 s
deadlines: { apdu: 20 s, tap: 60 s, decision: 60 s }
journal: { reserveMiB: 16, checkpointEntries: 20 }
`;
}

const at = (line: number) => `chip: ${chip}, line: ${line}`;

function readerYaml({ name, granted, denied }: (typeof readers)[number], slot: number): string {
  const [id, zones, service] =
    slot === 0 ? ['entrance', 'from: street, to: hall, ', 'meal'] : ['event', '', 'event'];
  const indicator = `{ granted: { ${at(granted)} }, denied: { ${at(denied)} } }`;
  return `  - { id: ${id}, name: ${name}, door: front, ${zones}service: { id: ${service} }, timing: { mode: 'off' }, indicator: ${indicator} }`;
}

/** rules.yaml; both groups may pass, so that a list of either is told from the other by the journal alone. */
export const rulesYaml = `formatVersion: 1
organization: kazasu-city
timeZone: Asia/Tokyo
profiles:
  - id: synthetic-type-a
    userNumberFormat: { alphabet: uppercase-alphanumeric, minimumLength: 6, maximumLength: 10 }
groups: [old, new]
doors: [{ id: front }]
zones: [{ id: street }, { id: hall }]
services:
  - { id: meal, kind: uses, limit: 1000000 }
  - { id: event, kind: once }
permissions:
  - { group: old, door: front }
  - { group: new, door: front }
`;
