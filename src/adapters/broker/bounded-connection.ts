import { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { PacketSizes } from '#core/sync/packet-sizes.ts';

export interface ConnectionBounds {
  /** of one packet, in bytes */
  readonly packetBytes: number;
  /** what may wait to be sent to a terminal, in bytes: one that takes nothing must not fill the memory */
  readonly waitingBytes: number;
  /** A connection that went beyond a bound was cut. */
  readonly exceeded: (bound: 'packet' | 'waiting') => void;
}

const lastWordsWithinMs = 2_000;

/**
 * A connection as the broker sees it. The broker's parser would gather packets of any size, and one receiver that takes
 * nothing would hold up what is for all others: either is cut off here.
 */
export class BoundedConnection extends Duplex {
  readonly #socket: TLSSocket;
  readonly #bounds: ConnectionBounds;
  readonly #sizes: PacketSizes;

  constructor(socket: TLSSocket, bounds: ConnectionBounds) {
    super({ allowHalfOpen: false, autoDestroy: true });
    this.#socket = socket;
    this.#bounds = bounds;
    this.#sizes = new PacketSizes(bounds.packetBytes);
    socket.on('data', (chunk: Buffer) => this.#received(chunk));
    socket.on('end', () => this.push(null));
    socket.on('error', (error) => this.destroy(error));
    socket.on('close', () => this.destroy());
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#send(chunk, done);
  }

  /** The parts in which a packet is written go out as one record of TLS. */
  override _writev(parts: { readonly chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.#send(Buffer.concat(parts.map(({ chunk }) => chunk)), done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#socket.end();
    done();
  }

  /** What was said last, such as why somebody is refused, is still sent, if it is taken soon. */
  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#socket.setTimeout(lastWordsWithinMs, () => this.#socket.destroy());
    this.#socket.destroySoon();
    done(error);
  }

  /** Done at once: what waits is counted, and the broker never stands still for one receiver. */
  #send(bytes: Buffer, done: (error?: Error | null) => void): void {
    this.#socket.write(bytes);
    if (this.#socket.writableLength > this.#bounds.waitingBytes) this.#cut('waiting');
    done();
  }

  #received(chunk: Buffer): void {
    if (!this.#sizes.allow(chunk)) this.#cut('packet');
    else if (!this.push(chunk)) this.#socket.pause();
  }

  #cut(bound: 'packet' | 'waiting'): void {
    this.#bounds.exceeded(bound);
    this.#socket.destroy();
    this.destroy();
  }
}
