import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { JournalFile } from '#adapters/sqlite/journal-file.ts';
import { forgetSome } from '#adapters/sqlite/journal-forgetting.ts';
import { locate, outboxExtent, outgoingBatch } from '#adapters/sqlite/journal-outgoing.ts';
import { toHex } from '#core/bytes/bytes.ts';
import { parseDevicePublicKey } from '#core/crypto/device-signature.ts';
import { checkpointBytes } from '#core/journal/checkpoint.ts';
import type { JournalHead, JournalRecord } from '#core/journal/record.ts';
import type { JournalOutbox } from '#ports/journal-outbox.ts';
import type { MessageBus } from '#ports/message-bus.ts';
import type { SimulatedClock } from '#simulators/clock/simulated-clock.ts';
import { JournalUpload } from '#terminal/journal-upload.ts';
import type { Occurrence } from '#terminal/journal-writer.ts';
import { makeKey } from '../core/sync/keys.ts';

const organization = 'city';

/** A journal on the disk and what sends it, on one thread; it dies at any step it is told to. */
export class UploadingDevice {
  readonly identity: { readonly organization: string; readonly terminal: string };
  readonly noted: Occurrence['body'][] = [];
  /** whether the device dies instead of what it was about to do */
  dies: () => boolean = () => false;
  dead = true;
  /** somebody stands at a reader until this resolves */
  pause: () => Promise<void> = async () => undefined;
  readonly #clock: SimulatedClock;
  readonly #directory = mkdtempSync(join(tmpdir(), 'kazasu-upload-'));
  readonly #key = makeKey();
  #file: JournalFile | undefined;
  #upload: JournalUpload | undefined;
  #bus: MessageBus | undefined;
  #head: JournalHead | undefined;

  constructor({ terminal, clock }: { readonly terminal: string; readonly clock: SimulatedClock }) {
    this.identity = { organization, terminal };
    this.#clock = clock;
  }

  keys() {
    const parsed = parseDevicePublicKey(this.#key.spki);
    return new Map(parsed ? [[parsed.keyId, parsed]] : []);
  }

  /** `renamed` makes the journal go on as another incarnation. */
  async start(bus: MessageBus, renamed?: string): Promise<this> {
    const terminal = renamed ?? this.identity.terminal;
    const options = { file: this.#path(), terminal, create: true, reserveMiB: 1 };
    const file = JournalFile.open(options);
    this.#file = file;
    this.#bus = bus;
    this.#head = file.head();
    this.dead = false;
    const upload = new JournalUpload({
      identity: this.identity,
      outbox: this.#outbox(file),
      journal: { uploaded: (through) => this.#step(() => file.uploaded(through)) },
      bus: { publish: (message) => this.#step(() => bus.publish(message)) },
      pause: () => this.pause(),
      note: ({ body }) => this.noted.push(body),
      clock: this.#clock,
      chance: () => 0.5,
      log: pino({ level: 'silent' }),
    });
    this.#upload = upload;
    await bus.start({
      received: async ({ kind, payload }) => {
        if (kind === 'ack') await upload.acknowledged(payload);
      },
      changed: ({ kind }) => (kind === 'connected' ? upload.connected() : upload.lost()),
    });
    return this;
  }

  append(count: number, changes: Partial<JournalRecord> = {}): void {
    const record = (): JournalRecord => ({
      kind: 'decision',
      atMs: this.#clock.utcMs(),
      monotonicUs: this.#clock.monotonicUs(),
      bootId: 'boot',
      clock: 'trusted',
      body: { door: 'north' },
      personal: { userNumber: 'A1' },
      ...changes,
    });
    const records = Array.from({ length: count }, record);
    this.#head = this.#opened().append([records])[0] ?? this.#head;
    this.#upload?.grown();
  }

  async sign(): Promise<void> {
    const head = this.#head;
    if (!head || head.sequence === 0) return;
    const raw = checkpointBytes(head, this.#clock.utcMs(), this.#key.keyId());
    const signature = await this.#key.sign(raw);
    this.#opened().storeCheckpoint(head.sequence, { raw, signature }, this.#key.spki);
    this.#upload?.grown();
  }

  /** Lets go of the entries through this position, all of one incarnation. */
  forget(through: number): void {
    const db = this.#opened().database();
    db.transaction(() => forgetSome(db, through, through))();
  }

  extent() {
    return outboxExtent(this.#opened().database());
  }

  head(): JournalHead | undefined {
    return this.#head;
  }

  /** All entries there are, in their order, by their hashes. */
  hashes(): readonly string[] {
    return this.#opened()
      .database()
      .prepare<[], Uint8Array>('SELECT hash FROM entries ORDER BY position')
      .pluck()
      .all()
      .map(toHex);
  }

  /** As the power does it: nothing that was under way goes on. */
  async die(): Promise<void> {
    this.dead = true;
    this.#file?.close();
    this.#file = undefined;
    await this.#bus?.stop();
  }

  /** Ends in order. */
  async stop(): Promise<void> {
    await this.#upload?.stop();
    await this.die();
  }

  /** Keeps a copy of the disk, or puts it back. */
  copy(direction: 'keep' | 'put-back'): void {
    const [from, to] = direction === 'keep' ? ['', '.copy'] : ['.copy', ''];
    copyFileSync(`${this.#path()}${from}`, `${this.#path()}${to}`);
    rmSync(`${this.#path()}-wal`, { force: true });
  }

  remove(): void {
    if (existsSync(this.#directory)) rmSync(this.#directory, { recursive: true });
  }

  #outbox(file: JournalFile): JournalOutbox {
    const db = file.database();
    return {
      start: () => this.#step(() => undefined),
      stop: async () => undefined,
      extent: () => this.#step(() => outboxExtent(db)),
      locate: (position, through, signed) => this.#step(() => locate(db, position, through, signed)),
      batch: (request) => this.#step(() => outgoingBatch(db, request)),
      live: async () => [],
    };
  }

  /** What is awaited: before or after it the device may die, and then nothing comes of it. */
  async #step<T>(action: () => T | Promise<T>): Promise<T> {
    const never = new Promise<T>(() => undefined);
    if (this.dead || this.#dying()) return never;
    const result = await action();
    return this.#dying() || this.dead ? never : result;
  }

  #dying(): boolean {
    if (this.dead || !this.dies()) return false;
    this.dead = true;
    return true;
  }

  #opened(): JournalFile {
    if (!this.#file) throw new Error('the device is off');
    return this.#file;
  }

  #path(): string {
    return join(this.#directory, 'journal.sqlite');
  }
}
