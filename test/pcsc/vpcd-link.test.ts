import { createServer, type Server, type Socket } from 'node:net';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Fault, isFault } from '#core/fault.ts';
import { frame, MessageSplitter } from '#simulators/vpcd/frames.ts';
import { type LinkedCard, VpcdLink, vpcdPort } from '#simulators/vpcd/vpcd-link.ts';

describe('messages of vpcd', () => {
  test('are cut out of the stream however it arrives', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }),
        (messages, cuts) => {
          const stream = Buffer.concat(messages.map(frame));
          const splitter = new MessageSplitter();
          const received: Uint8Array[] = [];
          for (let at = 0, cut = 0; at < stream.length; cut += 1) {
            const length = cuts[cut % cuts.length] ?? 1;
            received.push(...splitter.push(stream.subarray(at, at + length)));
            at += length;
          }
          expect(received.map((message) => [...message])).toEqual(messages.map((message) => [...message]));
        },
      ),
    );
  });

  test('hold at most 65,535 bytes', () => {
    expect([...frame(new Uint8Array(0xffff)).subarray(0, 2)]).toEqual([0xff, 0xff]);
    expect(() => frame(new Uint8Array(0x1_0000))).toThrow(TypeError);
  });
});

/** Stands where vpcd listens, and keeps what the card sends. */
class FakeVpcd {
  readonly #server: Server;
  readonly #splitter = new MessageSplitter();
  readonly #received: Uint8Array[] = [];
  #wake: () => void = () => undefined;
  connections = 0;
  socket: Socket | undefined;

  constructor() {
    this.#server = createServer((socket) => {
      this.socket = socket;
      this.connections += 1;
      socket.on('data', (chunk) => {
        this.#received.push(...this.#splitter.push(chunk));
        this.#wake();
      });
      socket.on('close', () => {
        if (this.socket === socket) this.socket = undefined;
        this.#wake();
      });
      socket.on('error', () => undefined);
      this.#wake();
    });
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(vpcdPort, '127.0.0.1', resolve));
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => (this.#wake = resolve));
  }

  async answer(): Promise<number[]> {
    await this.until(() => this.#received.length > 0);
    return [...(this.#received.shift() ?? [])];
  }

  send(...messages: readonly (readonly number[])[]): void {
    this.socket?.write(Buffer.concat(messages.map((message) => frame(Uint8Array.from(message)))));
  }

  async close(): Promise<void> {
    this.socket?.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

class ScriptedCard implements LinkedCard {
  readonly atr = Uint8Array.of(0x3b, 0x80, 0x80, 0x01, 0x01);
  readonly calls: string[] = [];
  answer: () => Promise<Uint8Array> = async () => Uint8Array.of(0x90, 0x00);

  powerOn(): void {
    this.calls.push('on');
  }

  powerOff(): void {
    this.calls.push('off');
  }

  reset(): void {
    this.calls.push('reset');
  }

  readonly transmit = (command: Uint8Array): Promise<Uint8Array> => {
    this.calls.push(`apdu ${command.length}`);
    return this.answer();
  };
}

describe('a card linked to vpcd', () => {
  let vpcd: FakeVpcd;
  let card: ScriptedCard;
  let link: VpcdLink;

  beforeEach(async () => {
    vpcd = new FakeVpcd();
    await vpcd.listen();
    card = new ScriptedCard();
    link = new VpcdLink({ slot: 0, whenLost: 'report' });
  });
  afterEach(async () => {
    link.remove();
    await vpcd.close();
  });

  async function inserted(): Promise<void> {
    await link.insert(card);
    await vpcd.until(() => vpcd.socket !== undefined);
  }

  test('answers controls and commands that arrive in one piece, in order', async () => {
    await inserted();
    vpcd.send([0x01], [0x04], [0x02], [0x00, 0xa4, 0x00, 0x00]);
    expect(await vpcd.answer()).toEqual([...card.atr]);
    expect(await vpcd.answer()).toEqual([0x90, 0x00]);
    vpcd.send([0x00], [0x04]);
    expect(await vpcd.answer()).toEqual([...card.atr]);
    expect(card.calls).toEqual(['on', 'reset', 'apdu 4', 'off']);
  });

  test('ignores controls that have no meaning, and a message of nothing', async () => {
    await inserted();
    vpcd.send([], [0x07], [0x04]);
    expect(await vpcd.answer()).toEqual([...card.atr]);
    expect(card.calls).toEqual([]);
  });

  test('leaves with its connection, without the answer it still owes', async () => {
    await inserted();
    let answerLate: (answer: Uint8Array) => void = () => undefined;
    card.answer = () => new Promise((resolve) => (answerLate = resolve));
    vpcd.send([0x00, 0xa4, 0x00, 0x00]);
    vpcd.send([0x04]);
    await vpcd.answer();
    link.remove();
    answerLate(Uint8Array.of(0x90, 0x00));
    await vpcd.until(() => vpcd.socket === undefined);
    expect(link.inserted).toBe(false);
    expect(card.calls.at(-1)).toBe('off');
  });

  test('that tears itself away is taken out, and told of', async () => {
    const lost = new Promise<Fault>((resolve) => {
      link = new VpcdLink({ slot: 0, whenLost: 'report', lost: resolve });
    });
    await inserted();
    card.answer = () => Promise.reject(new Fault('card-removed', 'the card has left the field'));
    vpcd.send([0x00, 0xa4, 0x00, 0x00]);
    expect((await lost).code).toBe('card-removed');
    await vpcd.until(() => vpcd.socket === undefined);
  });

  test('that answers nothing at all is taken out, as the driver would', async () => {
    const lost = new Promise<Fault>((resolve) => {
      link = new VpcdLink({ slot: 0, whenLost: 'report', lost: resolve });
    });
    await inserted();
    card.answer = async () => new Uint8Array();
    vpcd.send([0x00, 0xa4, 0x00, 0x00]);
    expect(isFault(await lost, 'card-removed')).toBe(true);
  });

  test('says when vpcd drops it, or connects again where it is to', async () => {
    const lost = new Promise<Fault>((resolve) => {
      link = new VpcdLink({ slot: 0, whenLost: 'report', lost: resolve });
    });
    await inserted();
    vpcd.socket?.destroy();
    expect((await lost).code).toBe('reader-service-absent');
    link = new VpcdLink({ slot: 0, whenLost: 'retry' });
    await link.insert(card);
    await vpcd.until(() => vpcd.connections === 2);
    vpcd.socket?.destroy();
    await vpcd.until(() => vpcd.connections === 3);
    expect(link.inserted).toBe(true);
  });

  test('is refused where nothing listens', async () => {
    const other = new VpcdLink({ slot: 1, whenLost: 'report' });
    await expect(other.insert(card)).rejects.toMatchObject({ code: 'reader-service-absent' });
    expect(other.inserted).toBe(false);
  });
});
