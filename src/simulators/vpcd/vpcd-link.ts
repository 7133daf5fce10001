import { connect, type Socket } from 'node:net';
import { Fault, isFault } from '#core/fault.ts';
import { frame, MessageSplitter, maximumMessageLength } from './frames.ts';

/** Port of vpcd's first slot (vpcd-config's default); slot n listens on this port + n. */
export const vpcdPort = 35_963;
const reconnectEveryMs = 250;

/** What vpcd can hold: the face of a card to a reader. */
export interface LinkedCard {
  readonly atr: Uint8Array;
  powerOn(): void;
  powerOff(): void;
  reset(): void;
  /** Rejects with a Fault `card-removed` when the card leaves the field in the middle of the command. */
  readonly transmit: (command: Uint8Array) => Promise<Uint8Array>;
}

export interface VpcdLinkOptions {
  readonly host?: string;
  /** slot of the virtual reader, from 0 */
  readonly slot: number;
  /**
   * What happens when vpcd closes the connection or is not there while a card is in the field: `retry` connects
   * again every 250 ms until the card is removed, `report` leaves it at that and calls `lost`.
   */
  readonly whenLost: 'retry' | 'report';
  /** the card left vpcd without `remove`: it tore itself away, or vpcd closed the connection */
  readonly lost?: (fault: Fault) => void;
}

/** One-byte messages of vpcd; anything longer is a command APDU. */
const control = { powerOff: 0x00, powerOn: 0x01, reset: 0x02, getAtr: 0x04 } as const;

/**
 * Puts a card into a slot of vpcd, the virtual reader inside the real PC/SC stack. vpcd listens, the card
 * connects, and a closed connection is a removed card. pcscd notices either within 400 ms.
 */
export class VpcdLink {
  readonly #options: VpcdLinkOptions;
  #card: LinkedCard | undefined;
  #socket: Socket | undefined;
  #retry: NodeJS.Timeout | undefined;

  constructor(options: VpcdLinkOptions) {
    this.#options = options;
  }

  /** Whether a card is in the field, connected or (with `retry`) waiting for vpcd. */
  get inserted(): boolean {
    return this.#card !== undefined;
  }

  /**
   * Puts `card` into the field, after removing the one that was there. With `report` it rejects with a Fault
   * `reader-service-absent` when nothing listens on the slot's port; with `retry` it resolves once connected.
   */
  insert(card: LinkedCard): Promise<void> {
    this.remove();
    this.#card = card;
    return new Promise((resolve, reject) => this.#connect(card, resolve, reject));
  }

  /** Takes the card out of the field; an answer it still owed is never sent. Safe to call twice. */
  remove(): void {
    clearTimeout(this.#retry);
    const card = this.#card;
    this.#card = undefined;
    this.#socket?.destroy();
    this.#socket = undefined;
    card?.powerOff();
  }

  #connect(card: LinkedCard, connected: () => void, failed: (fault: Fault) => void): void {
    const port = vpcdPort + this.#options.slot;
    const host = this.#options.host ?? '127.0.0.1';
    const socket = connect({ port, host, noDelay: true });
    this.#socket = socket;
    let reached = false;
    socket.once('connect', () => {
      reached = true;
      connected();
    });
    // the close that follows says everything; without a listener the error would end the process
    socket.on('error', () => undefined);
    socket.once('close', () => {
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      if (reached) card.powerOff();
      if (this.#options.whenLost === 'retry') {
        this.#retry = setTimeout(() => this.#connect(card, connected, failed), reconnectEveryMs);
        return;
      }
      this.#card = undefined;
      const why = reached ? 'vpcd closed the connection' : `nothing listens on ${host}:${port}`;
      const fault = new Fault(
        'reader-service-absent',
        `${why}; is pcscd running with the driver vsmartcard-vpcd?`,
      );
      if (reached) this.#options.lost?.(fault);
      else failed(fault);
    });
    this.#serve(socket, card);
  }

  #serve(socket: Socket, card: LinkedCard): void {
    const splitter = new MessageSplitter();
    socket.on('data', (chunk) => {
      for (const message of splitter.push(chunk)) {
        if (message.length === 1) this.#control(socket, card, message[0] ?? 0);
        else if (message.length > 1) void this.#exchange(socket, card, message);
      }
    });
  }

  #control(socket: Socket, card: LinkedCard, code: number): void {
    if (code === control.powerOff) card.powerOff();
    else if (code === control.powerOn) card.powerOn();
    else if (code === control.reset) card.reset();
    else if (code === control.getAtr) socket.write(frame(card.atr));
  }

  async #exchange(socket: Socket, card: LinkedCard, command: Uint8Array): Promise<void> {
    try {
      const response = await card.transmit(command);
      // a message of no bytes has no meaning to vpcd, which would drop the card, as it does for one too long
      if (response.length === 0 || response.length > maximumMessageLength) {
        throw new Fault('card-removed', 'the card gave an answer that a reader cannot carry');
      }
      if (!socket.destroyed) socket.write(frame(response));
    } catch (error) {
      if (!isFault(error)) throw error;
      if (this.#socket !== socket) return;
      this.remove();
      this.#options.lost?.(error);
    }
  }
}
