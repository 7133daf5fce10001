import { type FSWatcher, watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { destroyFile, replaceFile } from '#adapters/process/durable-file.ts';
import { makeFolder } from '#adapters/process/ownership.ts';
import type { CardKeyRequest, CardKeys } from '#core/card/keys.ts';
import type { Sealing } from '#core/config/key-source.ts';
import { Fault, isFault } from '#core/fault.ts';
import { unreadable } from '#core/file-fault.ts';
import type { KeyDerivation } from '#ports/key-derivation.ts';
import type { KeyErasure } from '#ports/key-erasure.ts';
import { type CardKeyHeader, CardKeyTable } from './card-key-file.ts';
import { openReceivingKey, receivingKeyFile } from './receiving-key.ts';

export interface SealedCardKeysOptions {
  readonly directory: string;
  readonly sealing: Sealing;
  /** told what another installation brought while open: what is told of it, or why it cannot be used */
  readonly changed?: (news: CardKeyHeader | Fault) => void;
}

/**
 * The keys of the cards allowed here and no master key: what is stolen with the device opens no door for another
 * card. The file is encrypted to the terminal's receiving key, which is sealed to the device; a newly installed one
 * serves from the next tap.
 */
export class SealedCardKeys implements KeyDerivation, KeyErasure {
  readonly #options: SealedCardKeysOptions;
  readonly #file: string;
  #table: CardKeyTable | undefined;
  #fault = closed();
  #watcher: FSWatcher | undefined;
  #reading: Promise<void> | undefined;
  #again = false;
  /** a reading under way when keys were erased must not bring them back */
  #erasures = 0;
  /** since keys were erased nothing has been installed: that there is nothing is no news, and why stays told */
  #erased = false;

  constructor(options: SealedCardKeysOptions) {
    this.#options = options;
    this.#file = join(options.directory, 'card-keys');
  }

  /**
   * Opens what is installed. Rejects with `key-unavailable` where nothing is, or with the faults of a sealed file;
   * what is installed later serves all the same.
   */
  async start(): Promise<void> {
    const { directory } = this.#options;
    this.#erased = false;
    try {
      makeFolder(directory);
      // before the first reading, so that nothing installed meanwhile is missed
      this.#watcher = watch(directory, (_event, name) => {
        if (name === basename(this.#file)) this.#readAgain();
      });
    } catch (error) {
      throw unreadable(directory, error);
    }
    await this.#readNow();
  }

  async stop(): Promise<void> {
    this.#watcher?.close();
    this.#watcher = undefined;
    await this.#reading;
    this.#drop(closed());
  }

  /** Why no card's keys can be had; undefined while they can. */
  fault(): Fault | undefined {
    return this.#table ? undefined : this.#fault;
  }

  async cardKeys({ profileId, keyVersion, diversifier }: CardKeyRequest): Promise<CardKeys> {
    if (!this.#table) throw this.#fault;
    if (!diversifier) {
      throw new Fault(
        'key-unavailable',
        `all cards of ${profileId} share one key, which a terminal without a master key does not hold`,
      );
    }
    const keys = this.#table.find({ profileId, keyVersion, diversifier });
    if (keys) return keys;
    throw new Fault(
      'card-key-missing',
      `this card of ${profileId}, key version ${keyVersion}, is not among the ${this.#table.header.count} whose keys are installed`,
    );
  }

  /** What is told of the keys installed; undefined while none can be used. */
  installed(): CardKeyHeader | undefined {
    return this.#table?.header;
  }

  /**
   * Installs a file from the centre in the place of the one there, whole or not at all.
   *
   * @throws Fault `key-file-invalid` for a file that is damaged or for another terminal
   */
  async install(content: Uint8Array): Promise<CardKeyHeader> {
    const { directory, sealing } = this.#options;
    const { privateKey, terminal } = await openReceivingKey(directory, sealing);
    const table = await CardKeyTable.open(content, privateKey, 'the file');
    const { header } = table;
    table.close();
    if (header.terminal !== terminal) {
      throw new Fault('key-file-invalid', `the file is for terminal ${header.terminal}, this is ${terminal}`);
    }
    await replaceFile(this.#file, content);
    return header;
  }

  async erase(): Promise<void> {
    this.#erasures += 1;
    this.#erased = true;
    this.#drop(new Fault('key-unavailable', 'the keys of this terminal have been erased'));
    // the key that opens the rest goes first: it is short, and without it the rest is noise
    await destroyFile(receivingKeyFile(this.#options.directory)).finally(() => destroyFile(this.#file));
  }

  #readAgain(): void {
    if (this.#reading) {
      this.#again = true;
      return;
    }
    const tell = (news: CardKeyHeader | Fault | undefined) => {
      if (this.#watcher && news) this.#options.changed?.(news);
    };
    this.#readNow().then(
      () => tell(this.#table?.header),
      (error: unknown) => tell(isFault(error) && !this.#erased ? error : undefined),
    );
  }

  /** Reads, and once more where something was installed meanwhile: an older reading never wins over a newer one. */
  #readNow(): Promise<void> {
    const reading = this.#read();
    this.#reading = reading
      .catch(() => undefined)
      .then(() => {
        this.#reading = undefined;
        const again = this.#again;
        this.#again = false;
        if (again && this.#watcher) this.#readAgain();
      });
    return reading;
  }

  /** Takes what is installed; while that cannot be read, what was read before goes on serving, unless it was removed. */
  async #read(): Promise<void> {
    const erasures = this.#erasures;
    try {
      const { directory, sealing } = this.#options;
      const content = await readFile(this.#file).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw unreadable(this.#file, error);
        if (this.#erased) throw this.#fault;
        const none = new Fault('key-unavailable', `no card keys are installed in ${directory}`);
        this.#drop(none);
        throw none;
      });
      const { privateKey } = await openReceivingKey(directory, sealing);
      const table = await CardKeyTable.open(content, privateKey, this.#file);
      if (this.#erasures !== erasures || !this.#watcher) return table.close();
      this.#table?.close();
      this.#table = table;
      this.#erased = false;
    } catch (error) {
      if (isFault(error) && !this.#erased) this.#fault = error;
      throw error;
    }
  }

  #drop(fault: Fault): void {
    this.#table?.close();
    this.#table = undefined;
    this.#fault = fault;
  }
}

function closed(): Fault {
  return new Fault('key-unavailable', 'the card keys are closed');
}
