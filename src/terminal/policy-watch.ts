import type { Logger } from 'pino';
import type { DoorPolicy } from '#core/access/policy.ts';
import { lackingIn, type NamedDoor } from '#core/access/policy-match.ts';
import type { JournalWriter } from './journal-writer.ts';
import type { TerminalSettings } from './terminal.ts';

/** Tells what each door's configuration counts on and the policy lacks, at the start and whenever that changes. */
export class PolicyWatch {
  readonly #journal: JournalWriter;
  readonly #log: Logger;
  readonly #doors: ReadonlyMap<string, NamedDoor>;
  /** by door id: what was told last; absent while there is nothing to tell */
  readonly #told = new Map<string, string>();

  constructor(parts: {
    readonly settings: Pick<TerminalSettings, 'doors' | 'readers'>;
    readonly journal: JournalWriter;
    readonly log: Logger;
  }) {
    this.#journal = parts.journal;
    this.#log = parts.log;
    const { doors, readers } = parts.settings;
    this.#doors = new Map(
      doors.map(({ doorId, zones = [] }) => {
        const own = readers.filter((reader) => reader.doorId === doorId);
        return [doorId, { doorId, zones, readers: own }];
      }),
    );
  }

  /** `policy` is what holds the door now; without any there is nothing to compare with. */
  look(doorId: string, policy: DoorPolicy | undefined): void {
    const named = this.#doors.get(doorId);
    if (!named || !policy) return;
    const { door, zones, services } = lackingIn(policy.rules, named);
    const on = door || zones.length > 0 || services.length > 0;
    const told = JSON.stringify([door, zones, services]);
    if (this.#told.get(doorId) === (on ? told : undefined)) return;
    if (on) this.#told.set(doorId, told);
    else this.#told.delete(doorId);
    const lacks = { ...(door && { unknown: true }), zones: [...zones], services: [...services] };
    const body = { alarm: 'policy-lacks', door: doorId, on, ...(on && lacks) };
    this.#journal.note({ kind: 'alarm', body });
    this.#log[on ? 'warn' : 'info'](
      body,
      on ? 'the policy lacks what a door counts on' : 'the policy has all',
    );
  }
}
