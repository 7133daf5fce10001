import { isSuccessOrWarning, joinResponse, statusWords } from '#core/apdu/response.ts';
import { concat } from '#core/bytes/bytes.ts';
import { gpSecureMessaging } from '#core/card/channel/scp03/messages.ts';
import type { Scp03Session } from '#core/card/channel/scp03/session.ts';
import type { CardSecureChannel, OpenedCommand } from '#core/card/channel/secure-channel.ts';

const noData = new Uint8Array();

/** The card's end of SCP03. A command without a right C-MAC ends it (Amendment D, 6.2.4). */
export class Scp03CardChannel implements CardSecureChannel {
  readonly #session: Scp03Session;
  #isOpen = true;

  /** Takes over `session`, prepared. */
  constructor(session: Scp03Session) {
    this.#session = session;
  }

  unwrap(apdu: Uint8Array): OpenedCommand {
    if (!this.#isOpen) return { kind: 'refused', status: statusWords.conditionsNotSatisfied };
    const opened = this.#opened(apdu);
    if (opened) return opened;
    this.close();
    return { kind: 'refused', status: statusWords.securityNotSatisfied };
  }

  /** An error status goes out bare, without data and without R-MAC (Amendment D, 6.2.5). */
  wrap(data: Uint8Array, status: number): Uint8Array {
    if (!isSuccessOrWarning(status)) return joinResponse(noData, status);
    const { authenticatesResponses, encryptsResponses } = this.#session.protection;
    if (!authenticatesResponses) return joinResponse(data, status);
    const content = encryptsResponses && data.length > 0 ? this.#session.encrypt(data, 'response') : data;
    return joinResponse(concat(content, this.#session.responseMac(content, status)), status);
  }

  close(): void {
    this.#isOpen = false;
    this.#session.close();
  }

  #opened(apdu: Uint8Array): OpenedCommand | undefined {
    const checked = this.#session.checkMac(apdu);
    if (!checked) return undefined;
    this.#session.advanceCounter();
    const { data, cla: protectedClass, ...rest } = checked;
    const cla = protectedClass & ~gpSecureMessaging;
    if (!data) return { kind: 'command', command: { cla, ...rest } };
    if (!this.#session.protection.encryptsCommands)
      return { kind: 'command', command: { cla, ...rest, data } };
    const plain = this.#session.decrypt(data, 'command');
    return plain && { kind: 'command', command: { cla, ...rest, data: plain } };
  }
}
