import { type Command, encodeCommand, parseCommand } from '#core/apdu/command.ts';
import { type Response, splitResponse } from '#core/apdu/response.ts';
import { withResponseHandling } from '#core/apdu/response-handling.ts';
import type { Transmit } from '#core/apdu/transmit.ts';
import { type Authenticated, authenticate } from '#core/card/authentication.ts';
import {
  parseSelectAnswer,
  type SelectedApplication,
  selectApplication,
} from '#core/card/card-application.ts';
import type { ChannelResponse, SecureChannel } from '#core/card/channel/secure-channel.ts';
import type { CardKeyRequest, CardKeys } from '#core/card/keys.ts';
import type { CardProfile } from '#core/card/profile.ts';
import { type ApduKind, apduKind, instructionKind } from '#core/card/trace/apdu-kind.ts';
import { Fault } from '#core/fault.ts';

export interface BenchParts {
  /** `reset` ends every session on the card; both reject with card and reader faults */
  readonly card: { readonly transmit: Transmit; reset(): Promise<void> };
  readonly profile: CardProfile;
  /** absent where no keys are at hand: then nothing behind the authentication is tried */
  readonly cardKeys?: (request: CardKeyRequest) => Promise<CardKeys>;
  /** whether the card may be shown a wrong cryptogram, which some cards count and answer by locking for good */
  readonly wrongKeys: boolean;
  readonly randomBytes: (length: number) => Uint8Array;
  readonly monotonicUs: () => number;
}

/** Kind of an exchange, by its command. */
export type ExchangeName = ApduKind | `${ApduKind}, protected`;

/** Changes an APDU on its way to the card. */
type Tamper = (apdu: Uint8Array) => Uint8Array;
const untouched: Tamper = (apdu) => apdu;

/** Instructions that read; VERIFY counts among them without data alone. */
const harmless: ReadonlySet<number> = new Set([0xa4, 0xb0, 0xb2, 0x84, 0xca, 0x20]);

/** The promise of the whole kit: no PIN try is spent, and nothing is written. A breach of it is a bug. */
function demandHarmless({ ins, data }: Command): void {
  if (!harmless.has(ins) || (ins === 0x20 && data !== undefined)) {
    throw new Error('a conformance check sends no command that spends a PIN try or changes the card');
  }
}

function nameOf(apdu: Uint8Array): ExchangeName {
  const command = parseCommand(apdu);
  if (!command) return 'other';
  const kind = apduKind(command);
  return kind.startsWith('protected-') ? `${instructionKind(command)}, protected` : kind;
}

/** The card on the bench: what checks may do with it, and how long each kind of command took. */
export class CardBench {
  readonly profile: CardProfile;
  readonly wrongKeys: boolean;
  readonly #parts: BenchParts;
  readonly #transmit: Transmit;
  readonly #timings = new Map<ExchangeName, number[]>();
  #lastStatus: number | undefined;

  constructor(parts: BenchParts) {
    this.#parts = parts;
    this.profile = parts.profile;
    this.wrongKeys = parts.wrongKeys;
    this.#transmit = withResponseHandling((apdu) => this.#timed(apdu));
  }

  get hasKeys(): boolean {
    return this.#parts.cardKeys !== undefined;
  }

  /** status word of the exchange before; undefined where it had none */
  get lastStatus(): number | undefined {
    return this.#lastStatus;
  }

  /** microseconds of every exchange so far, by the kind of its command */
  get timings(): ReadonlyMap<ExchangeName, readonly number[]> {
    return this.#timings;
  }

  /** Ends every session on the card, as taking it away and back does. */
  async reset(): Promise<void> {
    await this.#parts.card.reset();
  }

  /** Sends a command in the clear. */
  async plain(command: Command): Promise<Response> {
    demandHarmless(command);
    return splitResponse(await this.#transmit(encodeCommand(command)));
  }

  /** Sends `command` protected. Throws the faults of the channel. */
  async inside(channel: SecureChannel, command: Command): Promise<ChannelResponse> {
    demandHarmless(command);
    return channel.unwrap(await this.#transmit(channel.wrap(command)));
  }

  /**
   * Sends `command` protected, changed by `first`, and then the same once more as it was made; the responses stay
   * closed, since their channel is lost.
   */
  async twice(
    channel: SecureChannel,
    command: Command,
    first: Tamper,
  ): Promise<readonly [Response, Response]> {
    demandHarmless(command);
    const apdu = channel.wrap(command);
    const answer = await this.#transmit(first(apdu));
    return [splitResponse(answer), splitResponse(await this.#transmit(apdu))];
  }

  /** SELECT by the whole AID, as the profile says. Throws a Fault when the card has no such card AP, or answers badly. */
  async select(): Promise<SelectedApplication> {
    const answer = splitResponse(await this.#transmit(selectApplication(this.profile)));
    const selected = parseSelectAnswer(this.profile, answer);
    if (!selected) throw new Fault('card-answer-status', 'the card does not have the card AP of the profile');
    return selected;
  }

  /** SELECT and authentication; the caller closes the channel. `tamper` may change our cryptogram on its way. */
  async open(tamper: Tamper = untouched): Promise<Authenticated> {
    const { profile } = this;
    const { cardKeys, randomBytes } = this.#parts;
    if (!profile.channel || !cardKeys) throw new Error('there is no channel to open, or no keys to open it');
    const selected = await this.select();
    const transmit: Transmit = (apdu) =>
      this.#transmit(nameOf(apdu) === 'authenticate' ? tamper(apdu) : apdu);
    const parts = { profile, selected, transmit, cardKeys, randomBytes };
    return authenticate(parts, profile.channel);
  }

  async #timed(apdu: Uint8Array): Promise<Uint8Array> {
    const beganUs = this.#parts.monotonicUs();
    const response = await this.#parts.card.transmit(apdu);
    const [sw1, sw2] = response.subarray(-2);
    this.#lastStatus = sw1 === undefined || sw2 === undefined ? undefined : (sw1 << 8) | sw2;
    const name = nameOf(apdu);
    const times = this.#timings.get(name) ?? [];
    times.push(this.#parts.monotonicUs() - beganUs);
    this.#timings.set(name, times);
    return response;
  }
}
