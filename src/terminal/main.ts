import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Logger, pino } from 'pino';
import { ControlSocket } from '#adapters/control/control-socket.ts';
import { Keypad } from '#adapters/hid/keypad.ts';
import { hidSysfs } from '#adapters/hid/keypad-sysfs.ts';
import { nodeHid } from '#adapters/hid/node-hid.ts';
import { identityFile } from '#adapters/keyfile/identity-files.ts';
import { openDeviceKey } from '#adapters/keyfile/signing.ts';
import { SystemClock } from '#adapters/os/clock.ts';
import { reportFailures } from '#adapters/os/failure-reports.ts';
import { logOutput } from '#adapters/os/log-output.ts';
import { swapRemark } from '#adapters/os/swap.ts';
import { PcscReaders } from '#adapters/pcsc/pcsc-readers.ts';
import { isMissing } from '#adapters/process/durable-file.ts';
import { GuardedDoors } from '#adapters/process/guarded-doors.ts';
import { HolderFactsStore } from '#adapters/sqlite/holder-facts-store.ts';
import { JournalStore, type JournalStoreParts } from '#adapters/sqlite/journal-store.ts';
import { PolicyStore } from '#adapters/sqlite/policy-store.ts';
import { ServiceNotifier } from '#adapters/systemd/notify.ts';
import { hardwareOf, hardwareParts, type PinPadWiring } from '#core/access/door-wiring.ts';
import { wiringOf } from '#core/config/terminal-config.ts';
import { Fault, isFault } from '#core/fault.ts';
import type { KeyDerivation } from '#ports/key-derivation.ts';
import type { PinPad } from '#ports/pin-pad.ts';
import { type LoadedConfig, loadTerminalConfig, terminalSettings } from './config.ts';
import { deviceOf } from './device.ts';
import { KeyWatch } from './key-watch.ts';
import { listen } from './listen.ts';
import type { ServerConnection, ServerConnectionParts } from './server-connection.ts';
import { createTerminal, type Terminal } from './terminal.ts';

/** how often the tap loop is asked whether it turns */
const aliveEveryMs = 2_000;
/** how long the answer to the command to restart has to leave */
const restartAfterMs = 500;
const moduleOf = (specifier: string) => fileURLToPath(import.meta.resolve(specifier));

/** No card is read with keys where no profile has any. */
const noKeys: KeyDerivation = {
  cardKeys: async () => {
    throw new Fault('key-unavailable', 'no keys are configured');
  },
};

/**
 * Runs the terminal that `configFile` describes until SIGTERM or SIGINT. Rejects with a Fault when the configuration
 * is wrong or a database must not be touched. `control` is the socket where it takes commands of operators, if any.
 */
export async function runTerminal(configFile: string, control?: string): Promise<void> {
  const loaded = await loadTerminalConfig(configFile);
  const clock = new SystemClock();
  const log = pino(
    { level: loaded.config.log.level, base: { terminal: loaded.config.terminal } },
    logOutput(),
  );
  const notifier = new ServiceNotifier({
    clock,
    environment: process.env,
    processId: process.pid,
    onFailure: (error) => log.warn({ err: error }, 'the service manager was not reached'),
  });
  const failures = reportFailures(loaded.config.stateDirectory, log);
  const doors = guardedDoors(loaded);
  /** from when it is ready until it stops */
  let tellStatus: (() => void) | undefined;
  const keyWatch = watchKeys(loaded, log.child({ component: 'keys' }), () => tellStatus?.());
  const journal = await journalOf(loaded, { clock, opening: (opened) => void notifier.extendStart(opened) });
  const server = await connectionOf(loaded, { journal, clock, log: log.child({ component: 'server' }) });
  const terminal = await buildTerminal(loaded, { clock, log, doors, keyWatch, journal, server, failures });
  const stopped = stopSignal();
  const channel = control === undefined ? undefined : new ControlSocket({ path: control, log });
  await doors.start();
  try {
    keyWatch?.start();
    await terminal.start();
    const { commands } = terminal;
    const connected = server?.start(terminal);
    if (channel) await listen({ channel, commands, terminalId: loaded.config.terminal, clock, log });
    let told = statusText(loaded, keyWatch, terminal);
    await notifier.ready(told);
    tellStatus = () => {
      const status = statusText(loaded, keyWatch, terminal);
      if (status !== told) void notifier.status(status);
      told = status;
    };
    const feeding = setInterval(() => {
      tellStatus?.();
      void terminal.checkAlive().then((alive) => alive && notifier.feed());
    }, aliveEveryMs);
    log.info({ signal: await stopped }, 'stopping');
    clearInterval(feeding);
    tellStatus = undefined;
    await notifier.stopping();
    await channel?.stop();
    await Promise.all([terminal.stop(), connected?.then(() => server?.stop())]);
  } finally {
    await Promise.all([doors.stop(), keyWatch?.stop()]);
  }
}

function watchKeys({ keys: source }: LoadedConfig, log: Logger, changed: () => void): KeyWatch | undefined {
  if (!source) return undefined;
  const remark = swapRemark();
  if (remark !== undefined) log.warn(remark);
  return new KeyWatch({ source, log, changed });
}

/**
 * The line that `systemctl status` shows. Without keys, or a journal that can be written, a terminal is not ready, though
 * its exit requests work.
 */
function statusText({ config }: LoadedConfig, keyWatch: KeyWatch | undefined, terminal: Terminal): string {
  const faulty = terminal.doors.list().filter(({ fault }) => fault !== undefined);
  const named = faulty.map(
    ({ door, floor, fault }) => `${floor === undefined ? door : `${door} ${floor}`} (${fault})`,
  );
  const out = named.length === 0 ? '' : `; out of service: ${named.join(', ')}`;
  const parts = `${config.doors.length} doors, ${config.readers.length} readers`;
  if (!terminal.journal.writable()) return `the journal cannot be written, cards are denied: ${parts}${out}`;
  const keys = keyWatch?.status();
  if (keys?.startsWith('no keys')) return `${keys}, cards that authenticate are denied: ${parts}${out}`;
  return `ready: ${parts}${keys === undefined ? '' : `; ${keys}`}${out}`;
}

function guardedDoors({ config }: LoadedConfig): GuardedDoors {
  const wiring = wiringOf(config);
  return new GuardedDoors({
    parts: hardwareParts(wiring, {
      gpio: moduleOf('#adapters/gpio/gpio-hardware.ts'),
      usbRelay: moduleOf('#adapters/hid/usb-relay-hardware.ts'),
    }),
    doorIds: [...hardwareOf(wiring).keys()],
    readerIds: config.readers.map(({ id }) => id),
  });
}

interface BuildParts {
  readonly clock: SystemClock;
  readonly log: Logger;
  readonly doors: GuardedDoors;
  readonly keyWatch: KeyWatch | undefined;
  readonly journal: JournalStore;
  readonly server: ServerConnection | undefined;
  readonly failures: readonly string[];
}

async function buildTerminal(
  loaded: LoadedConfig,
  { clock, log, doors, keyWatch, journal, server, failures }: BuildParts,
): Promise<Terminal> {
  const { config, profiles } = loaded;
  const readers = new PcscReaders({
    allowed: config.readers.map((reader) => ({
      readerName: reader.name,
      profileIds: reader.profiles ?? profiles.map(({ id }) => id),
    })),
    profiles,
    keys: keyWatch?.keys ?? noKeys,
    apduDeadlineMs: config.deadlines.apdu,
    tapDeadlineMs: config.deadlines.tap,
    sessionDeadlineMs: config.deadlines.decision + config.pinTimeout,
    virtualReaders: 'refused',
    log: log.child({ component: 'pcsc' }),
  });
  const pads = config.readers.flatMap(({ id, pinPad }): (readonly [string, PinPad])[] =>
    pinPad ? [[id, keypad(pinPad, { clock, log: log.child({ component: 'pin-pad', reader: id }) })]] : [],
  );
  return createTerminal(
    {
      readers,
      doors: doors.doors,
      indicators: doors.indicators,
      pinPads: new Map(pads),
      policy: new PolicyStore({
        file: join(config.stateDirectory, 'policy.sqlite'),
        journal: join(config.stateDirectory, 'journal.sqlite'),
        trust: server?.distribution.trust,
      }),
      ...(server && { distribution: server.distribution }),
      journal,
      clock,
      log,
      holders: new HolderFactsStore({ file: join(config.stateDirectory, 'journal.sqlite') }),
      device: deviceOf(loaded, {
        keys: () => keyWatch?.status(),
        failures,
        restart: () => clock.after(restartAfterMs, () => process.kill(process.pid, 'SIGTERM')),
      }),
      ...(keyWatch?.erasure && { keyErasure: keyWatch.erasure }),
    },
    terminalSettings(loaded),
  );
}

/** 5 MB that a terminal without a server does without. */
async function connectionOf(
  { config }: LoadedConfig,
  parts: Omit<ServerConnectionParts, 'config'>,
): Promise<ServerConnection | undefined> {
  // what cannot be looked at is told where it is read
  const isAlone = await isMissing(identityFile(config.stateDirectory)).catch(() => false);
  if (isAlone) return undefined;
  const { openServerConnection } = await import('./server-connection.ts');
  return openServerConnection({ config, ...parts });
}

async function journalOf(
  { config }: LoadedConfig,
  parts: Pick<JournalStoreParts, 'clock' | 'opening'>,
): Promise<JournalStore> {
  return new JournalStore({
    file: join(config.stateDirectory, 'journal.sqlite'),
    terminal: config.terminal,
    signing: await openDeviceKey(config.stateDirectory),
    ...parts,
    reserveMiB: config.journal.reserveMiB,
    checkpointEntries: config.journal.checkpointEntries,
    checkpointIntervalMs: config.journal.checkpointInterval,
  });
}

function keypad(wiring: PinPadWiring, { clock, log }: { clock: SystemClock; log: Logger }): Keypad {
  return new Keypad({
    wiring,
    hid: nodeHid,
    sysfs: hidSysfs(),
    after: (delayMs, action) => clock.after(delayMs, action),
    onFault: (fault) => log.error({ fault: fault.code }, fault.message),
  });
}

function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve(signal));
  });
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { config: { type: 'string' }, control: { type: 'string' } } });
  try {
    if (values.config === undefined)
      throw new Fault('argument-invalid', 'usage: main.ts --config FILE [--control SOCKET]');
    await runTerminal(values.config, values.control);
  } catch (error) {
    process.stderr.write(`kazasu: ${isFault(error) ? `${error.code}: ${error.message}` : String(error)}\n`);
    process.exitCode = 1;
  }
}
