import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { Fault, isFault, toFaultRecord } from '#core/fault.ts';
import type { Clock } from '#ports/clock.ts';
import { type DoorAct, type DoorAnswer, type DoorRequest, LineSplitter } from './door-protocol.ts';
import { SimulatedDoor } from './simulated-door.ts';

/**
 * Simulated doors behind a Unix socket, so that they outlive whoever drives them, with an append-only record: one
 * JSON line for each thing a door saw, written before it is answered.
 */
export class DoorServer {
  readonly #options: { socketPath: string; recordPath: string; doors: readonly string[]; clock: Clock };
  readonly #doors = new Map<string, SimulatedDoor>();
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #record = -1;

  constructor(options: { socketPath: string; recordPath: string; doors: readonly string[]; clock: Clock }) {
    this.#options = options;
  }

  async start(): Promise<void> {
    const { socketPath, recordPath, doors, clock } = this.#options;
    this.#record = openSync(recordPath, 'a', 0o600);
    for (const id of doors) {
      const record = (observation: object): void => {
        writeSync(this.#record, `${JSON.stringify(observation)}\n`);
      };
      this.#doors.set(id, new SimulatedDoor({ id, clock, record }));
    }
    rmSync(socketPath, { force: true });
    const server = createServer((socket) => this.#serve(socket));
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(socketPath, resolve);
    });
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => {
      if (this.#server) this.#server.close(() => resolve());
      else resolve();
    });
    if (this.#record >= 0) closeSync(this.#record);
    this.#record = -1;
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    const lines = new LineSplitter();
    const watched = new Map<string, () => void>();
    socket.setEncoding('utf8');
    socket.on('data', (piece) => {
      for (const line of lines.push(String(piece))) void this.#answer(socket, watched, line);
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.#sockets.delete(socket);
      for (const [id, unwatch] of watched) {
        unwatch();
        if (this.#record >= 0) this.#doors.get(id)?.clientChanged(false);
      }
    });
  }

  async #answer(socket: Socket, watched: Map<string, () => void>, line: string): Promise<void> {
    const request = JSON.parse(line) as DoorRequest;
    const tell = (answer: DoorAnswer): void => {
      if (!socket.destroyed) socket.write(`${JSON.stringify(answer)}\n`);
    };
    try {
      const door = this.#doors.get(request.door);
      if (!door) throw new Fault('door-hardware-absent', `there is no simulated door ${request.door}`);
      if (request.do === 'set') {
        tell({ id: request.id, locked: await door.set(request.locked, request.cause) });
        return;
      }
      if (request.do === 'watch') {
        watched.get(door.id)?.();
        door.clientChanged(true);
        watched.set(
          door.id,
          door.watch((wires) => tell({ door: door.id, wires })),
        );
      } else if (request.do === 'show') door.indicate(request.reader, request.indication);
      else perform(door, request);
      tell({ id: request.id });
    } catch (error) {
      if (!isFault(error)) throw error;
      tell({ id: request.id, fault: toFaultRecord(error) });
    }
  }
}

/** Does to a door what a person or a breakdown does. */
function perform(door: SimulatedDoor, act: DoorAct): void {
  switch (act.act) {
    case 'push':
      door.push();
      return;
    case 'force':
      door.force();
      return;
    case 'close':
      door.close();
      return;
    case 'press-exit':
      door.pressExit(act.pressed);
      return;
    case 'tamper':
      door.tamper(act.active);
      return;
    case 'obstruct':
      door.obstruct(act.active);
      return;
    case 'pass':
      door.pass(act.active);
      return;
    case 'visit':
      door.visit(act.visitor);
      return;
    case 'misbehave':
      door.misbehave(act.misbehaviour);
      return;
    default:
      act satisfies never;
  }
}
