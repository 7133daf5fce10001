/** What an operator would edit in terminal.yaml: how the strikes are wired. */
export interface Wiring {
  readonly active?: 'high' | 'low';
  readonly lockType?: 'fail-secure' | 'fail-safe';
}

const chip = 'pinctrl-bcm2711';
/** inputs of the front door, by the numbers of the example in docs/commissioning.md */
export const inputs = { exitRequest: 5, tamper: 6 } as const;
/**
 * Two readers, each at a door of its own, since lamps show what the door does: entering, where a meal is counted; and to
 * an event, once. In the order of vpcd's slots.
 */
export const readers = [
  { id: 'entrance', name: 'Emulated Reader 00 00', door: 'front', strike: 17, granted: 22, denied: 23 },
  { id: 'event', name: 'Emulated Reader 00 01', door: 'side', strike: 18, granted: 10, denied: 11 },
] as const;

/**
 * terminal.yaml. Without a contact each grant counts, whether somebody goes through or not. Deadlines are those of a
 * machine that is emulated, tens of times slower than a device.
 */
export function terminalYaml({ active = 'high', lockType = 'fail-secure' }: Wiring = {}): string {
  return `formatVersion: 1
terminal: emulated
language: en
cardProfiles: [your-profile.yaml]
keys: { kind: vault-file, file: /var/lib/kazasu/vault, sealing: { passphraseFile: passphrase } }
readers:
${readers.map(readerYaml).join('\n')}
doors:
  - id: front
    hardware:
      strike: { kind: gpio, ${at(readers[0].strike)}, active: ${active}, lockType: ${lockType} }
      exitRequest: { ${at(inputs.exitRequest)}, active: high }
      tamper: { ${at(inputs.tamper)}, active: high }
    strikeTime: 2 s
    exitTime: 2 s
  - id: side
    hardware: { strike: { kind: gpio, ${at(readers[1].strike)}, active: ${active}, lockType: ${lockType} } }
    strikeTime: 2 s
deadlines: { apdu: 20 s, tap: 60 s, decision: 60 s }
journal: { reserveMiB: 16, checkpointEntries: 20 }
`;
}

const at = (line: number) => `chip: ${chip}, line: ${line}`;

function readerYaml({ id, name, door, granted, denied }: (typeof readers)[number]): string {
  const passage =
    id === 'entrance' ? 'from: street, to: hall, service: { id: meal }' : 'service: { id: event }';
  const indicator = `{ granted: { ${at(granted)} }, denied: { ${at(denied)} } }`;
  return `  - { id: ${id}, name: ${name}, door: ${door}, ${passage}, timing: { mode: 'off' }, indicator: ${indicator} }`;
}

/** rules.yaml; both groups may pass, so that a list of either is told from the other by the journal alone. */
export const rulesYaml = `formatVersion: 1
organization: kazasu-city
timeZone: Asia/Tokyo
profiles:
  - id: synthetic-type-a
    userNumberFormat: { alphabet: uppercase-alphanumeric, minimumLength: 6, maximumLength: 10 }
groups: [old, new]
doors: [{ id: front }, { id: side }]
zones: [{ id: street }, { id: hall }]
services:
  - { id: meal, kind: uses, limit: 1000000 }
  - { id: event, kind: once }
permissions:
  - { group: old, door: front }
  - { group: old, door: side }
  - { group: new, door: front }
  - { group: new, door: side }
`;
