import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { openDeviceKey } from '#adapters/keyfile/signing.ts';
import type { DenialReason, WaitReason } from '#core/access/decision.ts';
import { type TerminalConfig, terminalConfigSchema } from '#core/config/terminal-config.ts';
import { parseYaml } from '#core/config/yaml-document.ts';
import type { JournalEntry } from '#core/journal/entry.ts';
import { type CommandAction, type CommandOutcome, commandSchema } from '#core/sync/command.ts';
import type { Indication } from '#ports/indicator.ts';
import { readTestKeys } from '#simulators/card/test-keys.ts';
import { SimulatedClock } from '#simulators/clock/simulated-clock.ts';
import { SimulatedDoor } from '#simulators/door/simulated-door.ts';
import { SimulatedPinPad } from '#simulators/door/simulated-pin-pad.ts';
import { type CardKind, Cards, type ProfileChanges, storyProfiles } from './cards.ts';
import { DeviceKeys } from './device-keys.ts';
import { installPolicy, type PolicyFiles, under } from './policy-files.ts';
import { copyOf, entriesIn, findingsIn, newFolder } from './state-directory.ts';
import { hardwareIds, type RunParts, type TapEvent, TerminalRun } from './terminal-run.ts';
import { msOf, utcOf } from './times.ts';
import { smallBuilding } from './wiring.ts';

export interface PremisesPlan
  extends Required<Pick<PolicyFiles, 'rules' | 'holders'>>,
    Pick<PolicyFiles, 'confirmed'>,
    ProfileChanges {
  /** of the terminal; `building` by default */
  readonly name?: string;
  /** the terminal's configuration in YAML, without its head; a small building of two doors by default */
  readonly terminal?: string;
  /** local time (Asia/Tokyo) at the start, such as `2026-11-16 12:00`, a Monday and the default */
  readonly at?: string;
}

export interface TapOptions extends CardKind {
  /** digits typed when the terminal asks for a PIN, then Enter */
  readonly pin?: string;
}

/** Between two runs. */
interface Pause {
  /** how long there is no power; a minute by default */
  readonly off?: string;
  /** what a clock without battery shows afterwards; it is not trusted then */
  readonly clock?: string;
  /** what happens without power */
  readonly meanwhile?: () => void;
}

/** How a tap ended, and the entry of its decision as the disk has it. */
export interface Tapped {
  readonly tapId: string;
  readonly result: 'granted' | 'denied' | 'waits' | 'hold-again' | 'needs';
  readonly reason: DenialReason | WaitReason | undefined;
  readonly alarms: readonly string[];
  readonly entry: JournalEntry;
}

/**
 * A building with one terminal. People tap, time passes, the power fails; whatever is asked of the terminal is over when
 * a method returns.
 */
export class Premises {
  readonly clock: SimulatedClock;
  readonly #plan: PremisesPlan;
  readonly #config: TerminalConfig;
  readonly #root = mkdtempSync(join(tmpdir(), 'kazasu-building-'));
  readonly #doors: ReadonlyMap<string, SimulatedDoor>;
  readonly #pads: ReadonlyMap<string, SimulatedPinPad>;
  readonly #shown = new Map<string, Indication>();
  readonly #cutRuns: Promise<void>[] = [];
  /** doors that opened for a tap whose grant was not on the disk yet */
  readonly openedUnrecorded: string[] = [];
  #runs = 0;
  #commands = 0;
  #folder: string;
  #parts: RunParts | undefined;
  #cards: Cards | undefined;
  #run: TerminalRun | undefined;

  constructor(plan: PremisesPlan) {
    this.#plan = plan;
    this.clock = new SimulatedClock({ utcMs: utcOf(plan.at ?? '2026-11-16 12:00') });
    const { name = 'building' } = plan;
    const head = `formatVersion: 1\nterminal: ${name}\ncardProfiles: [card.yaml]\n`;
    const text = under(head, plan.terminal ?? smallBuilding);
    this.#config = parseYaml(text, 'terminal.yaml', terminalConfigSchema, 'config-invalid');
    this.#folder = newFolder(this.#root);
    const { clock } = this;
    const record = (door: string, locked: boolean, cause: string | undefined) => {
      if (!locked && cause !== undefined && !this.#isRecorded(cause)) this.openedUnrecorded.push(door);
    };
    this.#doors = new Map(
      hardwareIds(this.#config).map((id) => [
        id,
        new SimulatedDoor({
          id,
          clock,
          record: ({ what, locked, cause }) =>
            what === 'command' && locked !== undefined && record(id, locked, cause),
        }),
      ]),
    );
    this.#pads = new Map(this.#config.readers.map(({ id }) => [id, new SimulatedPinPad({ clock })]));
  }

  async open(): Promise<void> {
    const { rules, holders, confirmed } = this.#plan;
    this.#cards = await Cards.open(this.clock);
    await this.install({ rules, holders, ...(confirmed !== undefined && { confirmed }) });
    this.#parts = {
      folder: this.#folder,
      config: this.#config,
      profiles: await storyProfiles(this.#plan),
      signing: await openDeviceKey(this.#root),
      keys: new DeviceKeys(await readTestKeys()),
      clock: this.clock,
      doors: this.#doors,
      pads: this.#pads,
      shown: this.#shown,
    };
    this.#run = await TerminalRun.start(this.#parts);
  }

  async close(): Promise<void> {
    const [run, parts] = [this.#run, this.#parts];
    this.#run = undefined;
    await run?.stop();
    await Promise.all(this.#cutRuns);
    const findings = run && parts ? await findingsIn(this.#folder, parts.signing) : [];
    rmSync(this.#root, { recursive: true, force: true });
    expect(findings, 'wrong with the journal').toEqual([]);
  }

  /** Installs rules, a complete list of holders, or both, as `kazasu policy import` does beside the running terminal. */
  async install(policy: PolicyFiles): Promise<void> {
    await installPolicy(this.#folder, policy, this.clock.utcMs());
  }

  /** Holds a card at a reader, types the PIN if one is asked for, and takes the card away when the tap has ended. */
  async tap(userNumber: string, readerId: string, options: TapOptions = {}): Promise<Tapped> {
    const { readers, taps, work } = this.#running();
    const before = taps.length;
    readers.insert(readerId, this.#cardOf(userNumber, options));
    await work.idle();
    const pad = this.#pads.get(readerId);
    if (pad?.asking()) {
      for (const digit of options.pin ?? '') pad.press(Number(digit));
      if (options.pin === undefined) pad.cancel();
      else pad.enter();
      await work.idle();
    }
    readers.remove(readerId);
    await work.idle();
    const ended = taps[before];
    if (!ended) throw new Error('the tap has not ended');
    return this.#tapped(ended);
  }

  /** Gives the terminal a command on the device and tells what came of it. */
  async tell(action: CommandAction): Promise<CommandOutcome> {
    this.#commands += 1;
    const nowMs = this.clock.utcMs();
    const command = commandSchema.parse({
      format: 1,
      id: String(this.#commands).padStart(32, '0'),
      terminal: this.#config.terminal,
      issuedBy: 'desk',
      reason: 'a visit',
      issuedAtMs: nowMs,
      expiresAtMs: nowMs + 60_000,
      action,
    });
    const { outcome } = await this.#running().tell(command);
    return outcome;
  }

  /** Lets time pass, such as `2 h`: a minute of it costs a look at the policy for each door. */
  async later(text: string): Promise<void> {
    await this.clock.advanceAsync(msOf(text), () => this.#running().work.idle());
  }

  /** Lets time pass until the clock shows this local time. */
  async until(local: string): Promise<void> {
    await this.clock.advanceAsync(utcOf(local) - this.clock.utcMs(), () => this.#running().work.idle());
  }

  /** Stops in order, and starts again from the same files. */
  async reboot(pause: Pause = {}): Promise<void> {
    await this.#running().stop();
    await this.#powerOn(pause);
  }

  /** The program ends in order and starts again, the machine runs on. */
  async restart(): Promise<void> {
    if (!this.#parts) throw new Error('the building is not open');
    await this.#running().stop();
    this.#run = await TerminalRun.start({ ...this.#parts, folder: this.#folder });
  }

  /** The power fails at once, and comes back: what was not on the disk by then is gone. */
  async crash(pause: Pause = {}): Promise<void> {
    this.#folder = copyOf(this.#folder, this.#root);
    this.#cutRuns.push(this.#running().cut());
    await this.#powerOn(pause);
  }

  /** Nobody knows any more whether the clock is right: no battery, not yet synchronised. */
  untrustedClock(): void {
    this.clock.trust(false);
  }

  trustedClock(): void {
    this.clock.trust(true);
  }

  /** The clock is put ahead (`1 h`) or back (`-1 h`). */
  stepClock(by: string): void {
    this.clock.stepUtc(msOf(by));
  }

  /** The clock is put to this local time. */
  setClock(local: string): void {
    this.clock.stepUtc(utcOf(local) - this.clock.utcMs());
  }

  /** Closes the contact of an input of the terminal, or opens it. */
  async input(id: string, state: 'on' | 'off'): Promise<void> {
    const input = this.door(`input:${id}`);
    if (state === 'on') input.force();
    else input.close();
    await this.later('300 ms');
  }

  /** Closes the contact of an input for a moment, as a key switch or a push button does. */
  async press(id: string): Promise<void> {
    await this.input(id, 'on');
    await this.input(id, 'off');
  }

  /** A door, or an input or output as `input:ID` and `output:ID`, with its wires and who stands at it. */
  door(id: string): SimulatedDoor {
    const door = this.#doors.get(id);
    if (!door) throw new Error(`the building has no ${id}`);
    return door;
  }

  /** What the terminal shows at a reader. */
  shown(readerId: string): Indication | undefined {
    return this.#shown.get(readerId);
  }

  /** Entries of the journal as the disk has them now, in the order written. */
  entries(kind?: string): readonly JournalEntry[] {
    return entriesIn(this.#folder, kind);
  }

  /** Alarms that were raised, in the order recorded. */
  alarms(): readonly unknown[] {
    return this.entries('alarm').flatMap(({ body }) => (body.on === true ? [body.alarm] : []));
  }

  #cardOf(userNumber: string, kind: CardKind) {
    if (!this.#cards) throw new Error('the building is not open');
    return this.#cards.of(userNumber, kind);
  }

  #running(): TerminalRun {
    if (!this.#run) throw new Error('the building is not open');
    return this.#run;
  }

  #tapped({ tapId, decision }: TapEvent): Tapped {
    const entry = this.entries('decision').findLast((one) => one.tapId === tapId);
    if (!entry) throw new Error('the decision is not in the journal');
    const result = decision?.kind ?? 'hold-again';
    const reason = decision?.kind === 'denied' || decision?.kind === 'waits' ? decision.reason : undefined;
    const stopped = this.actuationOf({ tapId });
    if (stopped?.result === 'not-opened') expect([result, reason]).toEqual(['denied', stopped.reason]);
    else expect(entry.body).toMatchObject({ result, ...(reason && { reason }) });
    const alarms = decision && decision.kind !== 'needs' ? decision.alarms : [];
    return { tapId, result, reason, alarms, entry };
  }

  /** What the door did for a tap; undefined where it was not asked. */
  actuationOf({ tapId }: Pick<Tapped, 'tapId'>): JournalEntry['body'] | undefined {
    return this.entries('actuation').find((one) => one.tapId === tapId)?.body;
  }

  /** Whether a door is locked; of an elevator, whether no floor is free. */
  isLocked(doorId: string): boolean {
    const ids = [...this.#doors.keys()].filter((id) => id === doorId || id.startsWith(`${doorId}/`));
    return ids.every((id) => this.door(id).wires().locked);
  }

  #isRecorded(tapId: string): boolean {
    return this.entries('decision').some((one) => one.tapId === tapId && one.body.result === 'granted');
  }

  /** The door that a reader serves. */
  doorOf(readerId: string): string {
    const door = this.#config.readers.find(({ id }) => id === readerId)?.door;
    if (door === undefined) throw new Error(`the building has no reader ${readerId}`);
    return door;
  }

  async #powerOn({ off = '1 min', clock, meanwhile }: Pause): Promise<void> {
    if (!this.#parts) throw new Error('the building is not open');
    meanwhile?.();
    this.#runs += 1;
    this.clock.reboot(`00000000-0000-4000-8000-${String(this.#runs + 1).padStart(12, '0')}`);
    this.clock.stepUtc(msOf(off));
    if (clock !== undefined) {
      this.untrustedClock();
      this.setClock(clock);
    }
    this.#run = await TerminalRun.start({ ...this.#parts, folder: this.#folder });
  }
}
