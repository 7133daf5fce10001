import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** What a network does to a connection that passes through it. */
export type Passage =
  | { readonly kind: 'clear' }
  /** so many bytes a second in each direction */
  | { readonly kind: 'slow'; readonly bytesPerSecond: number }
  /** nothing passes, and nobody is told: as when a device loses its power behind a switch */
  | { readonly kind: 'silent' };

const tickMs = 50;

/** A network between a fleet and its server, which cuts, slows and swallows connections when it is told to. */
export class NetworkFaults {
  readonly #target: { readonly host: string; readonly port: number };
  readonly #server: Server;
  readonly #links = new Set<Link>();
  #open = true;

  constructor(parts: { readonly target: { readonly host: string; readonly port: number } }) {
    this.#target = parts.target;
    this.#server = createServer((socket) => this.#accepted(socket));
  }

  /** Resolves to the port at which the fleet finds the server. */
  async start(): Promise<number> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.cut(1, () => 0);
    await closed;
  }

  /** Whether connections are let through at all; shutting it cuts those that are there. */
  set open(open: boolean) {
    this.#open = open;
    if (!open) this.cut(1, () => 0);
  }

  /** Cuts the share (0 to 1) of connections that chance takes. Returns how many. */
  cut(share: number, random: () => number): number {
    const cut = [...this.#links].filter(() => random() < share);
    for (const link of cut) link.cut();
    return cut.length;
  }

  /** Changes how the share of connections that chance takes passes from now on. Returns how many. */
  pass(passage: Passage, share: number, random: () => number): number {
    const changed = [...this.#links].filter(() => random() < share);
    for (const link of changed) link.passage = passage;
    return changed.length;
  }

  #accepted(socket: Socket): void {
    if (!this.#open) {
      socket.resetAndDestroy();
      return;
    }
    const link = new Link(socket, connect(this.#target), () => this.#links.delete(link));
    this.#links.add(link);
  }
}

class Link {
  readonly #ends: readonly [Socket, Socket];
  passage: Passage = { kind: 'clear' };

  constructor(outer: Socket, inner: Socket, ended: () => void) {
    this.#ends = [outer, inner];
    for (const [from, to] of [
      [outer, inner],
      [inner, outer],
    ] as const) {
      from.setNoDelay(true);
      from.on('data', (bytes) => this.#passed(bytes, from, to));
      // what ends at one side ends at the other, unless the network hides it
      from.on('close', () => {
        if (this.passage.kind === 'silent' && !to.destroyed) return;
        to.destroy();
        ended();
      });
      from.on('error', () => from.destroy());
    }
  }

  cut(): void {
    for (const end of this.#ends) end.resetAndDestroy();
  }

  #passed(bytes: Buffer, from: Socket, to: Socket): void {
    if (this.passage.kind === 'silent') return;
    const blocked = !to.write(bytes);
    if (this.passage.kind === 'slow') {
      from.pause();
      const waitMs = Math.max(tickMs, (1_000 * bytes.length) / this.passage.bytesPerSecond);
      setTimeout(() => from.resume(), waitMs);
    } else if (blocked) {
      from.pause();
      to.once('drain', () => from.resume());
    }
  }
}
