import type { Command } from '#core/apdu/command.ts';
import { describeStatus, isSuccessOrWarning, splitResponse } from '#core/apdu/response.ts';
import { equalConstantTime } from '#core/bytes/bytes.ts';
import { gpSecureMessaging } from '#core/card/channel/scp03/messages.ts';
import type { Scp03Session } from '#core/card/channel/scp03/session.ts';
import { type ChannelResponse, carriesPin, type SecureChannel } from '#core/card/channel/secure-channel.ts';
import { Fault } from '#core/fault.ts';

function notAuthentic(what: string): Fault {
  return new Fault('card-message-not-authentic', `the card's answer is not authentic: ${what}`);
}

/**
 * The terminal's end of SCP03. Le is sent as the command has it, the R-MAC not counted in (Amendment D, 6.2.4 changes
 * Lc alone). At a level with R-MAC no success and no warning is taken without one; any other status, which cards
 * answer unprotected, ends the session (6.2.5). Without R-MAC no answer counts as authentic.
 */
export class Scp03TerminalChannel implements SecureChannel {
  readonly #session: Scp03Session;
  #isOpen = true;

  /** Takes over `session`, whose EXTERNAL AUTHENTICATE the card has accepted. */
  constructor(session: Scp03Session) {
    this.#session = session;
  }

  wrap(command: Command): Uint8Array {
    this.#demandOpen();
    const { encryptsCommands } = this.#session.protection;
    const { data } = command;
    if (data && !encryptsCommands && carriesPin(command.ins)) {
      throw new TypeError('a PIN on a channel that does not encrypt commands');
    }
    this.#session.advanceCounter();
    const encrypts = encryptsCommands && data !== undefined && data.length > 0;
    return this.#session.withMac({
      ...command,
      cla: command.cla | gpSecureMessaging,
      ...(encrypts && { data: this.#session.encrypt(data, 'command') }),
    });
  }

  unwrap(response: Uint8Array): ChannelResponse {
    this.#demandOpen();
    try {
      return this.#opened(response);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  close(): void {
    this.#isOpen = false;
    this.#session.close();
  }

  #demandOpen(): void {
    if (!this.#isOpen) throw new Fault('card-channel-closed', 'the secure channel to the card is closed');
  }

  #opened(response: Uint8Array): ChannelResponse {
    const { data, status } = splitResponse(response);
    if (!isSuccessOrWarning(status)) {
      const text = `the card ended the secure channel with status ${describeStatus(status)}`;
      throw new Fault('card-answer-status', text);
    }
    const { authenticatesResponses, encryptsResponses } = this.#session.protection;
    if (!authenticatesResponses) return { data, status, authentic: false, encrypted: false };
    const end = data.length - this.#session.macLength;
    if (end < 0) throw notAuthentic('it has no MAC');
    const content = data.subarray(0, end);
    if (!equalConstantTime(this.#session.responseMac(content, status), data.subarray(end))) {
      throw notAuthentic('its MAC is wrong');
    }
    // an empty response is not encrypted (Amendment D, 6.2.7)
    if (!encryptsResponses || end === 0) return { data: content, status, authentic: true, encrypted: false };
    const plain = this.#session.decrypt(content, 'response');
    if (!plain)
      throw new Fault('card-answer-malformed', "the card's answer has a cryptogram that is not padded");
    return { data: plain, status, authentic: true, encrypted: true };
  }
}
