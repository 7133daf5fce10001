import type { Socket } from 'node:net';

export interface ArrivalLimits {
  /** TLS handshakes under way at once; the others wait in the order they came */
  readonly handshakes: number;
  /** connections that wait; further ones are cut, and come again by themselves */
  readonly waiting: number;
}

export interface ArrivalsParts {
  readonly limits: ArrivalLimits;
  /** The handshake of a connection begins; it was paused so far. */
  readonly begin: (socket: Socket) => void;
  /** A connection was cut. */
  readonly refused: () => void;
  readonly nowMs: () => number;
}

/** The ends of a connection, by which it is known before and after its handshake. */
type Ends = Pick<Socket, 'remoteAddress' | 'remotePort'>;

interface Waiting {
  readonly socket: Socket;
  readonly address: string;
  readonly sinceMs: number;
}

/** no address takes up more than a fourth of what there is, so that one that means ill leaves room for the others */
const shareOf = (limit: number): number => Math.ceil(limit / 4);
/** whoever has waited so long is about to give up */
const waitWithinMs = 8_000;

/**
 * Connections of which it is not known yet who they are. A handshake costs milliseconds: when thousands come at once, as
 * after a power cut, each is served in its turn, and those who are served already are not held up.
 */
export class Arrivals {
  readonly #parts: ArrivalsParts;
  readonly #waiting: Waiting[] = [];
  /** the address of each whose handshake is under way, by its ends */
  readonly #handshakes = new Map<string, string>();
  /** handshakes under way, and connections that wait, of each address */
  readonly #shaking = new Map<string, number>();
  readonly #queued = new Map<string, number>();

  constructor(parts: ArrivalsParts) {
    this.#parts = parts;
  }

  /** How many wait. */
  waiting(): number {
    return this.#waiting.length;
  }

  /** Takes a connection that is paused. */
  add(socket: Socket): void {
    const { limits, nowMs } = this.#parts;
    const address = socket.remoteAddress ?? '';
    // one that breaks while it waits is found broken when its turn comes
    socket.on('error', () => socket.destroy());
    if (this.#isFree(address)) return this.#begin(socket, address);
    const full = this.#waiting.length >= limits.waiting;
    if (full || countOf(this.#queued, address) >= shareOf(limits.waiting)) return this.#refuse(socket);
    add(this.#queued, address, 1);
    this.#waiting.push({ socket, address, sinceMs: nowMs() });
  }

  /** The handshake of a connection is through. One that is cut ends by itself. */
  through(ends: Ends): void {
    const key = keyOf(ends);
    const address = this.#handshakes.get(key);
    if (address === undefined) return;
    this.#handshakes.delete(key);
    add(this.#shaking, address, -1);
    this.#next();
  }

  /** Cuts all that wait. */
  stop(): void {
    for (const { socket } of this.#waiting.splice(0)) socket.destroy();
    this.#queued.clear();
  }

  #isFree(address: string): boolean {
    const { handshakes } = this.#parts.limits;
    return this.#handshakes.size < handshakes && countOf(this.#shaking, address) < shareOf(handshakes);
  }

  #begin(socket: Socket, address: string): void {
    const ends = { remoteAddress: socket.remoteAddress, remotePort: socket.remotePort };
    this.#handshakes.set(keyOf(ends), address);
    add(this.#shaking, address, 1);
    socket.once('close', () => this.through(ends));
    this.#parts.begin(socket);
  }

  /** Lets the first begin for whose address there is room. */
  #next(): void {
    const untilMs = this.#parts.nowMs() - waitWithinMs;
    const at = this.#waiting.findIndex(({ socket, address, sinceMs }) => {
      return socket.destroyed || sinceMs < untilMs || this.#isFree(address);
    });
    const [next] = at === -1 ? [] : this.#waiting.splice(at, 1);
    if (!next) return;
    const { socket, address, sinceMs } = next;
    add(this.#queued, address, -1);
    if (!socket.destroyed && sinceMs >= untilMs) return this.#begin(socket, address);
    this.#refuse(socket);
    this.#next();
  }

  #refuse(socket: Socket): void {
    this.#parts.refused();
    socket.destroy();
  }
}

function keyOf({ remoteAddress, remotePort }: Ends): string {
  return `${remoteAddress} ${remotePort}`;
}

function countOf(counts: ReadonlyMap<string, number>, address: string): number {
  return counts.get(address) ?? 0;
}

function add(counts: Map<string, number>, address: string, more: 1 | -1): void {
  const count = countOf(counts, address) + more;
  if (count === 0) counts.delete(address);
  else counts.set(address, count);
}
