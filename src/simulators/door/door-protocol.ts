import type { FaultRecord } from '#core/fault.ts';
import type { Indication } from '#ports/indicator.ts';
import type { DoorMisbehaviour, DoorWires, Visitor } from './simulated-door.ts';

/** What people and breakdowns do to a door; each is one line of JSON on the door's socket. */
export type DoorAct =
  | { readonly act: 'push' }
  | { readonly act: 'force' }
  | { readonly act: 'close' }
  | { readonly act: 'press-exit'; readonly pressed: boolean }
  | { readonly act: 'tamper'; readonly active: boolean }
  | { readonly act: 'obstruct'; readonly active: boolean }
  | { readonly act: 'pass'; readonly active: boolean }
  | { readonly act: 'visit'; readonly visitor: Visitor }
  | { readonly act: 'misbehave'; readonly misbehaviour: DoorMisbehaviour };

/** Client to door process, one line of JSON each. `id` is repeated in the answer. */
export type DoorRequest = { readonly id: number; readonly door: string } & (
  | { readonly do: 'set'; readonly locked: boolean; readonly cause?: string }
  | { readonly do: 'watch' }
  | { readonly do: 'show'; readonly reader: string; readonly indication: Indication }
  | ({ readonly do: 'act' } & DoorAct)
);

/** Door process to client. */
export type DoorAnswer =
  | { readonly id: number; readonly locked?: boolean }
  | { readonly id: number; readonly fault: FaultRecord }
  | { readonly door: string; readonly wires: DoorWires };

/** Cuts a stream into lines; what follows the last line break waits for the next piece. */
export class LineSplitter {
  #rest = '';

  push(piece: string): readonly string[] {
    const lines = (this.#rest + piece).split('\n');
    this.#rest = lines.pop() ?? '';
    return lines.filter((line) => line !== '');
  }
}
