import { type Command, parseCommand } from '#core/apdu/command.ts';
import { splitResponse, statusWords } from '#core/apdu/response.ts';
import { concat, equalConstantTime, toHex } from '#core/bytes/bytes.ts';
import { parseSelectAnswer, type SelectedApplication } from '#core/card/card-application.ts';
import { type ChannelParameters, deriveSession, HandshakeKeys } from '#core/card/channel/mutual/messages.ts';
import { channelSuites } from '#core/card/channel/mutual/suite.ts';
import { Scp03Session } from '#core/card/channel/scp03/session.ts';
import { Scp03TerminalHandshake } from '#core/card/channel/scp03/terminal-side.ts';
import { type CardKeyRequest, type CardKeys, zeroCardKeys } from '#core/card/keys.ts';
import type { CardProfile } from '#core/card/profile.ts';
import { isFault } from '#core/fault.ts';
import { apduKind } from './apdu-kind.ts';
import { MaskedBytes } from './masked-bytes.ts';
import {
  type OpenedMessage,
  OpenedMutualSession,
  OpenedScp03Session,
  type OpenedSession,
} from './opened-session.ts';
import type { TraceExchange } from './trace-format.ts';

/** What the keys have shown of one exchange. */
export type OpenedExchange =
  | { readonly kind: 'session'; readonly keys: 'fit' | 'do-not-fit' | 'not-recorded' }
  | { readonly kind: 'messages'; readonly command: OpenedMessage; readonly response?: OpenedMessage };

export interface TraceOpenerParts {
  readonly profiles: readonly CardProfile[];
  /** rejects with a Fault `card-key-missing` or `key-unavailable`; what it gives is zeroed here */
  readonly cardKeys: (request: CardKeyRequest) => Promise<CardKeys>;
}

type Channel = NonNullable<CardProfile['channel']>;
type Scp03Channel = Extract<Channel, { mechanism: 'scp03' }>;

interface Application {
  readonly profile: CardProfile;
  readonly selected: SelectedApplication;
}

const notRecorded: OpenedExchange = { kind: 'session', keys: 'not-recorded' };
const doNotFit: OpenedExchange = { kind: 'session', keys: 'do-not-fit' };
const fit: OpenedExchange = { kind: 'session', keys: 'fit' };

/**
 * Works through the exchanges of a trace whose protected messages were kept, in their order, and opens them with the
 * card's keys. The random numbers of the session stand in the trace as they crossed the air: in the clear, or sealed
 * under the keys of the card. Without the keys they are of no use.
 */
export class TraceOpener {
  readonly #parts: TraceOpenerParts;
  #application: Application | undefined;
  #challenge: MaskedBytes | undefined;
  #update: TraceExchange | undefined;
  #session: OpenedSession | undefined;

  constructor(parts: TraceOpenerParts) {
    this.#parts = parts;
  }

  /** undefined for an exchange that was not protected. Rejects with a Fault `card-key-missing` or `key-unavailable`. */
  async open(exchange: TraceExchange): Promise<OpenedExchange | undefined> {
    const apdu = new MaskedBytes(exchange.command);
    const command = parseCommand(apdu.bytes);
    if (!command) return undefined;
    const kind = apduKind(command);
    if (kind === 'protected-iso' || kind === 'protected-gp') return this.#messages(apdu, exchange);
    if (kind === 'select-application') this.#select(command, exchange);
    else if (kind === 'get-challenge') this.#challenge = answered(exchange);
    else if (kind === 'initialize-update') this.#update = exchange;
    else if (kind === 'authenticate') return this.#authenticated(apdu, command, exchange);
    return undefined;
  }

  /** Zeroes the session keys. */
  close(): void {
    this.#session?.close();
    this.#session = undefined;
  }

  #messages(apdu: MaskedBytes, { response }: TraceExchange): OpenedExchange | undefined {
    if (!this.#session) return undefined;
    const command = this.#session.command(apdu);
    if (response === undefined) return { kind: 'messages', command };
    return { kind: 'messages', command, response: this.#session.response(new MaskedBytes(response)) };
  }

  #select({ data = new Uint8Array() }: Command, exchange: TraceExchange): void {
    this.close();
    this.#application = undefined;
    const profile = this.#parts.profiles.find(({ application }) => application.aid === toHex(data));
    const answer = answered(exchange);
    if (!profile || !answer) return;
    try {
      const selected = parseSelectAnswer(profile, splitResponse(answer.bytes));
      if (selected) this.#application = { profile, selected };
    } catch (error) {
      if (!isFault(error)) throw error;
    }
  }

  async #authenticated(
    apdu: MaskedBytes,
    command: Command,
    exchange: TraceExchange,
  ): Promise<OpenedExchange | undefined> {
    this.close();
    const application = this.#application;
    const answer = answered(exchange);
    if (!application?.profile.channel) return undefined;
    if (!answer?.whole() || !apdu.whole()) return notRecorded;
    const { channel } = application.profile;
    return channel.mechanism === 'scp03'
      ? this.#openScp03(application.profile, channel, apdu)
      : this.#openMutual(application, channel, command, answer);
  }

  async #openMutual(
    { profile, selected: { keyVersion = 0, diversifier } }: Application,
    channel: ChannelParameters,
    { data = new Uint8Array() }: Command,
    answer: MaskedBytes,
  ): Promise<OpenedExchange> {
    const response = splitResponse(answer.bytes);
    const keys = await this.#cardKeys(profile, keyVersion, diversifier);
    const handshake = new HandshakeKeys(channelSuites[channel.cipher], keys);
    zeroCardKeys(keys);
    try {
      const terminal = handshake.open(data);
      const card = response.status === statusWords.success ? handshake.open(response.data) : undefined;
      const challenge = this.#challenge?.bytes.subarray(0, -2) ?? new Uint8Array();
      if (!terminal || !card || !equalConstantTime(terminal.ownNonce, challenge)) return doNotFit;
      this.#session = new OpenedMutualSession(channel, deriveSession(channel, terminal.other, card.other));
      return fit;
    } finally {
      handshake.close();
    }
  }

  async #openScp03(
    profile: CardProfile,
    channel: Scp03Channel,
    authenticate: MaskedBytes,
  ): Promise<OpenedExchange> {
    const update = this.#update && new MaskedBytes(this.#update.command);
    const answer = this.#update && answered(this.#update);
    const host = update && parseCommand(update.bytes)?.data;
    if (!host || !update.whole() || !answer?.whole()) return notRecorded;
    const { askedKeyVersion } = channel;
    const handshake = new Scp03TerminalHandshake({
      parameters: channel,
      askedKeyVersion,
      random: () => host,
    });
    try {
      const { keyVersion, diversifier } = handshake.takeCardData(answer.bytes);
      const keys = await this.#cardKeys(profile, keyVersion, diversifier);
      try {
        // made once more, it is what was sent only if card and terminal had these keys
        if (!equalConstantTime(handshake.externalAuthenticate(keys), authenticate.bytes)) return doNotFit;
        this.#session = this.#scp03Session(
          channel,
          keys,
          concat(host, cardChallenge(answer, host.length)),
          authenticate,
        );
        return fit;
      } finally {
        zeroCardKeys(keys);
      }
    } catch (error) {
      if (isFault(error, 'card-authentication-failed', 'card-answer-malformed', 'card-answer-status')) {
        return doNotFit;
      }
      throw error;
    } finally {
      handshake.close();
    }
  }

  #scp03Session(
    channel: Scp03Channel,
    keys: CardKeys,
    context: Uint8Array,
    authenticate: MaskedBytes,
  ): OpenedSession {
    const session = new Scp03Session(channel, keys, context);
    // the chain of MACs begins with this one
    session.checkMac(authenticate.bytes);
    session.prepare();
    return new OpenedScp03Session(session);
  }

  #cardKeys(
    { id: profileId, keys }: CardProfile,
    keyVersion: number,
    diversifier: Uint8Array | undefined,
  ): Promise<CardKeys> {
    if (!keys) throw new Error('a profile with a channel has keys');
    const { diversification } = keys;
    return this.#parts.cardKeys({
      profileId,
      keyVersion,
      diversification,
      ...(diversifier && { diversifier }),
    });
  }
}

function answered({ response }: TraceExchange): MaskedBytes | undefined {
  return response === undefined ? undefined : new MaskedBytes(response);
}

/** After diversification data (10), key version, protocol and i (Amendment D, 7.1.1.6). */
function cardChallenge(answer: MaskedBytes, length: number): Uint8Array {
  return answer.bytes.subarray(13, 13 + length);
}
