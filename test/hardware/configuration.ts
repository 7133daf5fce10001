/** How a strike is wired. */
export interface Wiring {
  readonly active?: 'high' | 'low';
  readonly lockType?: 'fail-secure' | 'fail-safe';
}

/** What an operator would edit in terminal.yaml. */
export interface Site {
  /** in the order of `readers` */
  readonly strikes?: readonly [Wiring, Wiring];
  readonly exitTime?: string;
  /** how long the front door, then with a contact, may stand open; without it each grant counts */
  readonly heldOpenAfter?: string;
}

const chip = 'pinctrl-bcm2711';
/** inputs of the front door and an exit request of the other, by the numbers of the example in docs/commissioning.md */
export const inputs = { exitRequest: 5, tamper: 6, sideExitRequest: 12, contact: 27 } as const;
/** sounds at the reader of the front door */
export const buzzer = 24;

/**
 * Two readers, each at a door of its own, since lamps show what the door does: entering, where a meal is counted; and to
 * an event, once. In the order of vpcd's slots.
 */
export const readers = [
  { id: 'entrance', name: 'Emulated Reader 00 00', door: 'front', strike: 17, granted: 22, denied: 23 },
  { id: 'event', name: 'Emulated Reader 00 01', door: 'side', strike: 18, granted: 10, denied: 11 },
] as const;

/** terminal.yaml. Deadlines are those of a machine that is emulated, tens of times slower than a device. */
export function terminalYaml({ strikes = [{}, {}], exitTime = '2 s', heldOpenAfter }: Site = {}): string {
  const contact =
    heldOpenAfter === undefined ? '' : `\n      contact: { ${at(inputs.contact)}, active: high }`;
  const held = heldOpenAfter === undefined ? '' : `\n    heldOpenAfter: ${heldOpenAfter}\n    preAlarm: 0 s`;
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
      strike: ${strikeYaml(0, strikes[0])}
      exitRequest: { ${at(inputs.exitRequest)}, active: high }
      tamper: { ${at(inputs.tamper)}, active: high }${contact}
    strikeTime: 2 s
    exitTime: ${exitTime}${held}
  - id: side
    hardware:
      strike: ${strikeYaml(1, strikes[1])}
      exitRequest: { ${at(inputs.sideExitRequest)}, active: high }
    strikeTime: 2 s
    exitTime: ${exitTime}
deadlines: { apdu: 20 s, tap: 60 s, decision: 60 s }
journal: { reserveMiB: 16, checkpointEntries: 20 }
`;
}

const at = (line: number) => `chip: ${chip}, line: ${line}`;

function strikeYaml(index: 0 | 1, { active = 'high', lockType = 'fail-secure' }: Wiring): string {
  return `{ kind: gpio, ${at(readers[index].strike)}, active: ${active}, lockType: ${lockType} }`;
}

function readerYaml({ id, name, door, granted, denied }: (typeof readers)[number]): string {
  const passage =
    id === 'entrance' ? 'from: street, to: hall, service: { id: meal }' : 'service: { id: event }';
  const sound = id === 'entrance' ? `, buzzer: { ${at(buzzer)} }` : '';
  const indicator = `{ granted: { ${at(granted)} }, denied: { ${at(denied)} }${sound} }`;
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
