import { z } from 'zod';

/** One line of a GPIO chip, named so that it survives a change of kernel (global numbers do not). */
const gpioLine = {
  /** label of the chip as gpiodetect and /sys/class/gpio/gpiochipN/label print it, such as `pinctrl-bcm2711` or `pinctrl-rp1` */
  chip: z.string().min(1).max(64),
  /** offset on the chip; on a Raspberry Pi the BCM number */
  line: z.int().min(0).max(511),
};

const outputLine = z
  .strictObject({ ...gpioLine, active: z.enum(['high', 'low']).default('high') })
  .describe('GPIO output; `active` is the level that switches the relay or lamp on');

const inputLine = z.strictObject({
  ...gpioLine,
  /** level while the door is open, the button pressed, the housing tampered with */
  active: z.enum(['high', 'low']),
  /** how long a level must last, in milliseconds */
  debounceMs: z.int().min(1).max(1_000).default(30),
});

/** fail-secure: unlocked while energised; fail-safe: locked while energised (a power cut unlocks) */
const lockType = z.enum(['fail-secure', 'fail-safe']).default('fail-secure');

const strikeWiring = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('gpio'),
    ...gpioLine,
    active: z.enum(['high', 'low']).default('high'),
    lockType,
  }),
  z.strictObject({
    kind: z.literal('usb-relay'),
    /** the five characters the board reports, as `kazasu` and `usbrelay` print them */
    serial: z.string().regex(/^[\x21-\x7e]{5}$/, 'the serial of a relay board has five characters'),
    relay: z.int().min(1).max(8),
    lockType,
  }),
]);
type StrikeWiring = z.infer<typeof strikeWiring>;

/** The `hardware:` section of a door in the terminal's configuration. Inputs are GPIO lines whatever drives the strike. */
const doorInputs = {
  contact: inputLine.optional(),
  exitRequest: inputLine.optional(),
  tamper: inputLine.optional(),
  /** active while somebody stands where a gate closes */
  obstruction: inputLine.optional(),
  /** becomes active once for each person who passes a gate */
  passage: inputLine.optional(),
};
export const doorWiringSchema = z
  .strictObject({
    strike: strikeWiring.optional(),
    /** of an elevator, in place of a strike: what frees the button of each floor while energised */
    floors: z.record(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,15}$/), strikeWiring).optional(),
    ...doorInputs,
  })
  .superRefine(({ strike, floors, ...inputs }, context) => {
    const report = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message });
    if (!strike === !floors) report(['strike'], 'a door has a strike, or an elevator has floors');
    if (!floors) return;
    if (Object.keys(floors).length === 0) report(['floors'], 'must name at least one floor');
    for (const [name, line] of Object.entries(inputs)) {
      if (line) report([name], 'an elevator has no such input; its doors are its own');
    }
  });
type DoorWiring = z.infer<typeof doorWiringSchema>;

/** Id of the output that frees the button of `floor` in the elevator `doorId`. */
export function floorId(doorId: string, floor: string): string {
  return `${doorId}/${floor}`;
}

/** Id of the hardware of an input or output that belongs to no door. */
export function auxiliaryId(kind: 'input' | 'output', id: string): string {
  return `${kind}:${id}`;
}

/** The `hardware:` section of an input that belongs to no door; it is read as the contact of a door is. */
export const inputWiringSchema = inputLine;

/** The `hardware:` section of an output that belongs to no door; it is driven as a fail-secure strike is. */
export const outputWiringSchema = z.discriminatedUnion('kind', [
  strikeWiring.options[0].omit({ lockType: true }),
  strikeWiring.options[1].omit({ lockType: true }),
]);

/** The `indicator:` section of a reader: lamps and buzzer on GPIO lines, each optional. */
export const indicatorWiringSchema = z.strictObject({
  /** on or blinking with a grant; usually green */
  granted: outputLine.optional(),
  /** on or blinking with a denial, a fault, an alarm; usually red */
  denied: outputLine.optional(),
  /** on while a card is being read or a PIN is awaited; usually yellow or white */
  busy: outputLine.optional(),
  buzzer: outputLine.optional(),
});
export type IndicatorWiring = z.infer<typeof indicatorWiringSchema>;

const usbId = z.string().regex(/^[0-9a-f]{4}$/, 'four lower-case hexadecimal digits, as lsusb prints them');

/** The `pinPad:` section of a reader: a USB numeric keypad, found by its ids. */
export const pinPadWiringSchema = z.strictObject({
  kind: z.literal('usb-keypad'),
  vendorId: usbId,
  productId: usbId,
  /** end of the path in /sys that tells two equal keypads apart, such as `1-1.2:1.0` */
  port: z
    .string()
    .regex(/^\d+-\d+(\.\d+)*:\d+\.\d+$/)
    .optional(),
});
export type PinPadWiring = z.infer<typeof pinPadWiringSchema>;

export type OutputLine = z.infer<typeof outputLine>;
export type InputLine = z.infer<typeof inputLine>;
export type UsbRelayStrike = Extract<StrikeWiring, { kind: 'usb-relay' }>;
type GpioStrike = Extract<StrikeWiring, { kind: 'gpio' }>;

/** All wiring of one terminal, joined by the ids of doors, inputs, outputs and readers. */
export interface TerminalWiring {
  readonly doors: Readonly<Record<string, DoorWiring>>;
  readonly inputs: Readonly<Record<string, InputLine>>;
  readonly outputs: Readonly<Record<string, z.infer<typeof outputWiringSchema>>>;
  readonly indicators: Readonly<Record<string, IndicatorWiring>>;
}

/** The strike of a door on GPIO, or none where another adapter drives it, and its inputs. */
export interface GpioDoorWiring extends Omit<DoorWiring, 'strike' | 'floors'> {
  readonly strike?: GpioStrike | undefined;
}

/** What the GPIO adapter drives: parts of doors (a door on a USB relay leaves only its inputs here) and indicators. */
export interface GpioHardwareOptions {
  readonly doors: Readonly<Record<string, GpioDoorWiring>>;
  readonly indicators: Readonly<Record<string, IndicatorWiring>>;
}

/** What the USB relay adapter drives, by door id. */
export interface UsbRelayHardwareOptions {
  readonly strikes: Readonly<Record<string, UsbRelayStrike>>;
}

/** A module that opens door hardware in the guard process, and what it is given there. */
export interface HardwarePart {
  /** absolute path of a module that exports `openHardware` (ports/door.ts) */
  readonly module: string;
  readonly options: unknown;
}

/** What is driven and read as a door's hardware is, by its id: doors, floors of elevators, other inputs and outputs. */
export function hardwareOf({ doors, inputs, outputs }: TerminalWiring): ReadonlyMap<string, HardwareWiring> {
  const hardware = new Map<string, HardwareWiring>();
  for (const [id, { floors, ...wiring }] of Object.entries(doors)) {
    if (!floors) hardware.set(id, wiring);
    for (const [floor, strike] of Object.entries(floors ?? {})) hardware.set(floorId(id, floor), { strike });
  }
  for (const [id, contact] of Object.entries(inputs)) hardware.set(auxiliaryId('input', id), { contact });
  for (const [id, output] of Object.entries(outputs)) {
    hardware.set(auxiliaryId('output', id), { strike: { ...output, lockType: 'fail-secure' } });
  }
  return hardware;
}
type HardwareWiring = Omit<DoorWiring, 'floors'>;

/** Divides a terminal's wiring among the adapters it needs; `modules` are the absolute paths of theirs. */
export function hardwareParts(
  wiring: TerminalWiring,
  modules: { readonly gpio: string; readonly usbRelay: string },
): readonly HardwarePart[] {
  const lines: Record<string, GpioDoorWiring> = {};
  const relays: Record<string, UsbRelayStrike> = {};
  for (const [id, { strike, ...inputs }] of hardwareOf(wiring)) {
    if (strike?.kind === 'gpio') lines[id] = { strike, ...inputs };
    else if (Object.keys(inputs).length > 0) lines[id] = inputs;
    if (strike?.kind === 'usb-relay') relays[id] = strike;
  }
  const gpio: GpioHardwareOptions = { doors: lines, indicators: wiring.indicators };
  const usbRelay: UsbRelayHardwareOptions = { strikes: relays };
  const isUsed = (part: object) => Object.keys(part).length > 0;
  return [
    ...(isUsed(gpio.doors) || isUsed(gpio.indicators) ? [{ module: modules.gpio, options: gpio }] : []),
    ...(isUsed(usbRelay.strikes) ? [{ module: modules.usbRelay, options: usbRelay }] : []),
  ];
}

/** A line or relay that two users claim; `users` read like `door front: strike`. */
export interface WiringConflict {
  readonly resource: string;
  readonly users: readonly string[];
}

/** Finds every GPIO line and relay that is used more than once. */
export function wiringConflicts(wiring: TerminalWiring): readonly WiringConflict[] {
  const users = new Map<string, string[]>();
  const claim = (resource: string, user: string): void => {
    users.set(resource, [...(users.get(resource) ?? []), user]);
  };
  const claimLine = (at: { chip: string; line: number } | undefined, user: string): void => {
    if (at) claim(`GPIO line ${at.line} of ${at.chip}`, user);
  };
  const claimOutput = (
    at: Omit<GpioStrike, 'lockType'> | Omit<UsbRelayStrike, 'lockType'>,
    user: string,
  ): void => {
    if (at.kind === 'gpio') claimLine(at, user);
    else claim(`relay ${at.relay} of board ${at.serial}`, user);
  };
  for (const [doorId, { strike, floors = {}, ...inputs }] of Object.entries(wiring.doors)) {
    if (strike) claimOutput(strike, `door ${doorId}: strike`);
    for (const [floor, output] of Object.entries(floors))
      claimOutput(output, `door ${doorId}: floor ${floor}`);
    for (const [name, line] of Object.entries(inputs)) claimLine(line, `door ${doorId}: ${name}`);
  }
  for (const [id, line] of Object.entries(wiring.inputs)) claimLine(line, `input ${id}`);
  for (const [id, output] of Object.entries(wiring.outputs)) claimOutput(output, `output ${id}`);
  for (const [readerId, lines] of Object.entries(wiring.indicators)) {
    for (const [name, line] of Object.entries(lines)) claimLine(line, `indicator ${readerId}: ${name}`);
  }
  return [...users]
    .filter(([, claimants]) => claimants.length > 1)
    .map(([resource, claimants]) => ({ resource, users: claimants }));
}
