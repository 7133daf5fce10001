import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import type { VirtualCard } from '#simulators/card/virtual-card.ts';
import type { Machine } from './machine.ts';

/** messages of qemu's ccid-card-passthru (vscard_common.h of libcacard): type, reader, length, each 32 bits, then data */
const messages = { readerAdd: 3, atr: 5, cardRemove: 6, apdu: 7 } as const;
const headBytes = 12;
/** ISO 7816-3: the least there is, T=0, which is all that qemu's reader knows */
const answerToReset = Uint8Array.of(0x3b, 0x00);

/** A USB reader for cards with contacts (CCID) that qemu plugs into the machine, and the card put into it. */
export class UsbReader {
  readonly #qmp: Machine['qmp'];
  readonly #socket: Socket;
  #received = Buffer.alloc(0);
  #card: VirtualCard | undefined;

  private constructor(qmp: Machine['qmp'], socket: Socket) {
    this.#qmp = qmp;
    this.#socket = socket;
    socket.on('data', (bytes) => this.#take(bytes));
    // the end of the machine ends it
    socket.on('error', () => undefined);
  }

  /** Makes a reader that is not plugged in; `folder` holds the socket of its cards. */
  static async make({ qmp }: Machine, folder: string): Promise<UsbReader> {
    const path = join(folder, 'reader');
    const server = createServer().listen(path);
    await once(server, 'listening');
    const connected = once(server, 'connection');
    const addr = { type: 'unix', data: { path } };
    await qmp.command('chardev-add', {
      id: 'card',
      backend: { type: 'socket', data: { addr, server: false } },
    });
    const [socket] = await connected;
    server.close();
    return new UsbReader(qmp, socket);
  }

  async plug(): Promise<void> {
    // always the same port, as it is part of the serial number, and that of the name
    await this.#qmp.command('device_add', { driver: 'usb-ccid', id: 'reader', bus: 'usb.0', port: '1' });
    await this.#qmp.command('device_add', {
      driver: 'ccid-card-passthru',
      chardev: 'card',
      bus: 'reader.0',
    });
    this.#send(messages.readerAdd);
  }

  async unplug(): Promise<void> {
    const before = this.#qmp.count('DEVICE_DELETED');
    await this.#qmp.command('device_del', { id: 'reader' });
    await this.#qmp.event('DEVICE_DELETED', before);
  }

  insert(card: VirtualCard): void {
    card.powerOn();
    this.#card = card;
    this.#send(messages.atr, answerToReset);
  }

  remove(): void {
    this.#card?.powerOff();
    this.#card = undefined;
    this.#send(messages.cardRemove);
  }

  #send(type: number, data: Uint8Array = new Uint8Array()): void {
    const head = Buffer.alloc(headBytes);
    head.writeUInt32BE(type, 0);
    head.writeUInt32BE(data.length, 8);
    this.#socket.write(Buffer.concat([head, data]));
  }

  #take(bytes: Buffer): void {
    this.#received = Buffer.concat([this.#received, bytes]);
    while (this.#received.length >= headBytes) {
      const end = headBytes + this.#received.readUInt32BE(8);
      if (this.#received.length < end) return;
      const message = this.#received.subarray(0, end);
      this.#received = this.#received.subarray(end);
      if (message.readUInt32BE(0) === messages.apdu) void this.#exchange(message.subarray(headBytes));
    }
  }

  async #exchange(command: Uint8Array): Promise<void> {
    const card = this.#card;
    const response = await card?.transmit(Uint8Array.from(command)).catch(() => undefined);
    if (response && card === this.#card) this.#send(messages.apdu, response);
  }
}
