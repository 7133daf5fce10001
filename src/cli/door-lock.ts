import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Command } from 'commander';
import { hardwareParts, type TerminalWiring } from '#core/access/door-wiring.ts';
import { Fault, type FaultRecord } from '#core/fault.ts';
import type { DoorHardware, DoorHardwareModule } from '#ports/door.ts';
import { loadTerminalConfig } from '#terminal/config.ts';
import { createOutput } from './output.ts';

/** how long a strike that does not obey is tried again, in milliseconds */
const lockWithinMs = 3_000;

/** What became of one strike. */
export type LockResult =
  | { readonly door: string; readonly locked: true }
  | { readonly door: string; readonly locked: false; readonly fault: FaultRecord };

/** `door lock`: what systemd runs after any death of the terminal. */
export function registerDoorLock(door: Command): void {
  door
    .command('lock')
    .description(
      'Lock every strike of a terminal that is not running, switch its outputs off, and read them back',
    )
    .requiredOption('--config <file>', 'Configuration, such as /etc/kazasu/terminal.yaml')
    .action(async (options: { config: string }, command: Command) => {
      const output = createOutput(command.optsWithGlobals<{ json?: boolean }>().json ?? false);
      const { config } = await loadTerminalConfig(options.config);
      const doors = await openStrikes({
        // what it drives alone: no input is of use here, and every line less is a failure less
        doors: Object.fromEntries(
          config.doors.map(({ id, hardware: { strike, floors } }) => [id, floors ? { floors } : { strike }]),
        ),
        inputs: {},
        // nor does a siren go on because its terminal has died
        outputs: Object.fromEntries(config.outputs.map(({ id, hardware }) => [id, hardware])),
        indicators: {},
      });
      const results = await lockDoors(doors, lockWithinMs);
      const failed = results.filter((result) => !result.locked);
      if (failed.length > 0) {
        const list = failed.map(({ door, fault }) => `${door} (${fault.code}: ${fault.message})`).join(', ');
        throw new Fault('door-hardware-failed', `not locked: ${list}`);
      }
      output.result({ doors: results }, results.map(({ door }) => `${door}: locked`).join('\n'));
    });
}

/** Locks each door and resolves with what its hardware read back, at the latest `withinMs` milliseconds later. */
export async function lockDoors(
  doors: ReadonlyMap<string, DoorHardware>,
  withinMs: number,
): Promise<readonly LockResult[]> {
  return Promise.all([...doors].map(([id, hardware]) => lockDoor(id, hardware, withinMs)));
}

function lockDoor(door: string, hardware: DoorHardware, withinMs: number): Promise<LockResult> {
  return new Promise((resolve) => {
    let fault: FaultRecord = { code: 'deadline-exceeded', message: `no answer within ${withinMs} ms` };
    const finish = (result: LockResult): void => {
      clearTimeout(timer);
      void hardware.stop().then(() => resolve(result));
    };
    const timer = setTimeout(() => finish({ door, locked: false, fault }), withinMs);
    void hardware.start((input) => {
      if (input.kind === 'fault') fault = input.fault;
      else if (input.kind === 'strike' && input.locked) finish({ door, locked: true });
    });
  });
}

async function openStrikes(wiring: TerminalWiring): Promise<ReadonlyMap<string, DoorHardware>> {
  const parts = hardwareParts(wiring, {
    gpio: fileURLToPath(import.meta.resolve('#adapters/gpio/gpio-hardware.ts')),
    usbRelay: fileURLToPath(import.meta.resolve('#adapters/hid/usb-relay-hardware.ts')),
  });
  const doors = new Map<string, DoorHardware>();
  for (const { module, options } of parts) {
    const { openHardware } = (await import(pathToFileURL(module).href)) as DoorHardwareModule;
    for (const [id, hardware] of (await openHardware(options)).doors) doors.set(id, hardware);
  }
  return doors;
}
