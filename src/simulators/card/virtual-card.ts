import { randomBytes as systemRandomBytes } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fixedApplications } from '#core/card/applications.ts';
import { parseYaml } from '#core/config/yaml-document.ts';
import { Fault } from '#core/fault.ts';
import type { CancelTimer, Clock } from '#ports/clock.ts';
import { virtualCardAnswerToReset } from './answer-to-reset.ts';
import { CardApplication } from './card-application.ts';
import { type CardDescription, type CardFault, cardDescriptionSchema } from './card-description.ts';
import { CardOperatingSystem } from './card-operating-system.ts';
import { applicationState, type CardState, cardState, cardStateSchema } from './card-state.ts';
import { FixedApplication } from './fixed-application.ts';

export interface VirtualCardParts {
  readonly description: CardDescription;
  readonly randomBytes: (length: number) => Uint8Array;
  /** runs the delays of a slow card or link */
  readonly clock: Pick<Clock, 'after'>;
  /** PINs and counters as they were left */
  readonly state?: CardState;
  /** called before the answer leaves the card, so that no try is forgotten */
  readonly stateChanged?: (state: CardState) => void;
}

/** bits of one byte on a Type B link: start, eight of data, stop (ISO 14443-3, 7.1.1) */
const bitsPerByte = 10;
/** bytes of a frame around an APDU: protocol byte and CRC (ISO 14443-4, 7.1) */
const frameOverhead = 3;

/** Milliseconds that a command and its response take on the radio link. */
export function linkMs(bytes: number, kilobitsPerSecond: number): number {
  return ((bytes + 2 * frameOverhead) * bitsPerByte) / kilobitsPerSecond;
}

interface PendingExchange {
  readonly reject: (fault: Fault) => void;
  readonly cancel: CancelTimer | undefined;
}

/**
 * A My Number Card without the plastic: ISO 7816-4 over APDUs, to be linked to vpcd or to a session directly.
 * Applications: the card's fixed ones, closed, then the card APs of its description.
 */
export class VirtualCard {
  /** called when the card leaves the field by a fault, so that the link can take it out of the reader */
  onRemoved: (() => void) | undefined;
  readonly #clock: Pick<Clock, 'after'>;
  readonly #kilobitsPerSecond: number | undefined;
  readonly #system: CardOperatingSystem;
  #faults: CardFault[];
  #powered = false;
  #exchange = 0;
  #pending: PendingExchange | undefined;

  constructor({ description, randomBytes, clock, state, stateChanged }: VirtualCardParts) {
    const described = description.cardApplications.map((it) => ({
      it,
      aid: it.aid,
      state: applicationState(it, state),
    }));
    const changed = () => stateChanged?.(cardState(described));
    const cardApplications = described.map(
      ({ it, state: own }) =>
        new CardApplication({ description: it, state: own, stateChanged: changed, randomBytes }),
    );
    const applications = [
      ...fixedApplications.map(({ aid }) => new FixedApplication(aid)),
      ...cardApplications,
    ];
    this.#system = new CardOperatingSystem({
      applications,
      randomBytes,
      extendedLength: description.extendedLength,
    });
    this.#clock = clock;
    this.#kilobitsPerSecond = description.link?.kilobitsPerSecond;
    this.#faults = [...description.misbehaviour];
  }

  /** Answer to reset as a PC/SC reader makes it up for a Type B card; the same for every card. */
  get atr(): Uint8Array {
    return virtualCardAnswerToReset;
  }

  powerOn(): void {
    this.#powered = true;
    this.#exchange = 0;
    this.#system.reset();
  }

  /** The card has left the field: the exchange under way rejects with a Fault `card-removed`. */
  powerOff(): void {
    this.#powered = false;
    this.#system.reset();
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.cancel?.();
    pending?.reject(removed());
  }

  /** Ends every session on the card, as leaving the field for a moment does. */
  reset(): void {
    this.powerOff();
    this.powerOn();
  }

  /** Answers one command APDU. Rejects with a Fault `card-removed` when the card leaves the field meanwhile. */
  readonly transmit = (command: Uint8Array): Promise<Uint8Array> => {
    if (!this.#powered) return Promise.reject(removed());
    if (this.#pending) return Promise.reject(new Error('one APDU at a time'));
    this.#exchange += 1;
    const faults = this.#faults.filter(
      (fault) => !('exchange' in fault) || fault.exchange === this.#exchange,
    );
    const response = this.#respond(command, faults);
    const delayMs = this.#delayMs(faults, command.length + response.length);
    const silent = faults.some(({ kind }) => kind === 'silent');
    const tornAway = faults.some(({ kind }) => kind === 'removed');
    if (!silent && !tornAway && delayMs === 0) return Promise.resolve(response);
    return new Promise((resolve, reject) => {
      const finish = () => {
        this.#pending = undefined;
        if (!tornAway) return resolve(response);
        this.powerOff();
        reject(removed());
        this.onRemoved?.();
      };
      const cancel = silent ? undefined : this.#clock.after(delayMs, finish);
      this.#pending = { reject, cancel };
    });
  };

  /** From now on the card commits `fault` at every activation. */
  misbehave(fault: CardFault): void {
    this.#faults.push(fault);
  }

  /** Ends all misbehaviour. */
  behave(): void {
    this.#faults = [];
  }

  #respond(command: Uint8Array, faults: readonly CardFault[]): Uint8Array {
    const outOfPlace = faults.find((fault) => fault.kind === 'status');
    if (outOfPlace) return Uint8Array.of(outOfPlace.status >> 8, outOfPlace.status & 0xff);
    const response = this.#system.process(command);
    for (const fault of faults) {
      if (fault.kind !== 'flipped-bit') continue;
      const place = fault.bit >> 3;
      const byte = response[place];
      if (byte !== undefined) response[place] = byte ^ (0x80 >> (fault.bit & 7));
    }
    return response;
  }

  #delayMs(faults: readonly CardFault[], bytes: number): number {
    const slow = faults.reduce((sum, fault) => sum + (fault.kind === 'slow' ? fault.delayMs : 0), 0);
    return slow + (this.#kilobitsPerSecond === undefined ? 0 : linkMs(bytes, this.#kilobitsPerSecond));
  }
}

function removed(): Fault {
  return new Fault('card-removed', 'the card has left the field');
}

export interface LoadedCardOptions {
  /** JSON file in which PINs and counters outlive the process */
  readonly stateFile?: string;
  readonly clock?: Pick<Clock, 'after'>;
  readonly randomBytes?: (length: number) => Uint8Array;
}

const systemClock: Pick<Clock, 'after'> = {
  after(delayMs, action) {
    const timer = setTimeout(action, delayMs);
    return () => clearTimeout(timer);
  },
};

function readState(stateFile: string): CardState | undefined {
  if (!existsSync(stateFile)) return undefined;
  return parseYaml(readFileSync(stateFile, 'utf8'), stateFile, cardStateSchema, 'config-invalid');
}

function writeState(stateFile: string, state: CardState): void {
  const temporary = `${stateFile}.new`;
  writeFileSync(temporary, JSON.stringify(state), { mode: 0o600 });
  renameSync(temporary, stateFile);
}

/**
 * Makes the card that a YAML file describes; with `stateFile`, PIN counters outlive the process.
 * Rejects with a Fault `file-unreadable` or `config-invalid`.
 */
export async function loadVirtualCard(file: string, options: LoadedCardOptions = {}): Promise<VirtualCard> {
  const { stateFile, clock = systemClock, randomBytes = systemRandomBytes } = options;
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new Fault('file-unreadable', `${file} cannot be read`, { cause });
  });
  const description = parseYaml(text, file, cardDescriptionSchema, 'config-invalid');
  const state = stateFile === undefined ? undefined : readState(stateFile);
  const stateChanged = stateFile === undefined ? undefined : (next: CardState) => writeState(stateFile, next);
  return new VirtualCard({
    description,
    randomBytes,
    clock,
    ...(state && { state }),
    ...(stateChanged && { stateChanged }),
  });
}
