import { createConnection, type Socket } from 'node:net';
import { Fault, type FaultRecord, fromFaultRecord } from '#core/fault.ts';
import type { Indication } from '#ports/indicator.ts';
import { type DoorAct, type DoorAnswer, type DoorRequest, LineSplitter } from './door-protocol.ts';
import { type DoorWires, quietWires } from './simulated-door.ts';
import type { DoorLine } from './simulated-hardware.ts';

type Unnumbered<T> = T extends unknown ? Omit<T, 'id'> : never;

const gone: DoorWires = { ...quietWires, present: false };

/** The client's end of the socket of a door process. Connects when first needed, and again after it was lost. */
export class DoorClient {
  readonly #socketPath: string;
  readonly #pending = new Map<
    number,
    { resolve: (locked: boolean | undefined) => void; reject: (fault: Fault) => void }
  >();
  readonly #watchers = new Map<string, (wires: DoorWires) => void>();
  #socket: Socket | undefined;
  #lastId = 0;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  /** The line to one door, as its hardware adapter uses it. */
  line(door: string): DoorLine {
    return {
      set: async (locked, cause) => {
        if (this.#watchers.has(door) && !this.#socket) await this.#request({ door, do: 'watch' });
        const read = await this.#request({
          door,
          do: 'set',
          locked,
          ...(cause === undefined ? {} : { cause }),
        });
        return read === true;
      },
      watch: (watcher) => {
        this.#watchers.set(door, watcher);
        void this.#request({ door, do: 'watch' }).catch(() => watcher(gone));
        return () => {
          this.#watchers.delete(door);
        };
      },
    };
  }

  /** Shows something at a reader of the door; lost when the door process is. */
  show(door: string, reader: string, indication: Indication): void {
    void this.#request({ door, do: 'show', reader, indication }).catch(() => undefined);
  }

  /** Does to the door what a person or a breakdown does; resolves when it has happened. */
  async act(door: string, act: DoorAct): Promise<void> {
    await this.#request({ door, do: 'act', ...act });
  }

  close(): void {
    this.#watchers.clear();
    this.#socket?.destroy();
  }

  #request(request: Unnumbered<DoorRequest>): Promise<boolean | undefined> {
    const socket = this.#socket ?? this.#connect();
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      socket.write(`${JSON.stringify({ id, ...request })}\n`);
    });
  }

  #connect(): Socket {
    const socket = createConnection(this.#socketPath);
    const lines = new LineSplitter();
    this.#socket = socket;
    socket.setEncoding('utf8');
    socket.on('data', (piece) => {
      for (const line of lines.push(String(piece))) this.#receive(JSON.parse(line) as DoorAnswer);
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.#socket = undefined;
      const fault = new Fault('door-hardware-absent', 'the process of the simulated door is gone');
      for (const pending of this.#pending.values()) pending.reject(fault);
      this.#pending.clear();
      for (const watcher of this.#watchers.values()) watcher(gone);
    });
    return socket;
  }

  #receive(answer: DoorAnswer): void {
    if ('wires' in answer) {
      this.#watchers.get(answer.door)?.(answer.wires);
      return;
    }
    const pending = this.#pending.get(answer.id);
    this.#pending.delete(answer.id);
    if ('fault' in answer) pending?.reject(fromFaultRecord(answer.fault as FaultRecord));
    else pending?.resolve(answer.locked);
  }
}
