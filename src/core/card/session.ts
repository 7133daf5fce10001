import { encodeCommand } from '#core/apdu/command.ts';
import { withCommandChaining } from '#core/apdu/command-chaining.ts';
import { splitResponse } from '#core/apdu/response.ts';
import { withResponseHandling } from '#core/apdu/response-handling.ts';
import type { Transmit } from '#core/apdu/transmit.ts';
import { toHex } from '#core/bytes/bytes.ts';
import { type Authenticated, authenticate } from '#core/card/authentication.ts';
import {
  leavesOthers,
  parseSelectAnswer,
  type SelectedApplication,
  selectApplication,
} from '#core/card/card-application.ts';
import type { SecureChannel } from '#core/card/channel/secure-channel.ts';
import type { CardKeyRequest, CardKeys } from '#core/card/keys.ts';
import { changePin, type PinParts, verifyPin } from '#core/card/pin.ts';
import type { CardProfile } from '#core/card/profile.ts';
import type {
  Assurance,
  CardClaim,
  CardOutcome,
  NamedKey,
  PinChangeOutcome,
  PinOutcome,
  Reading,
  ReadingTimings,
} from '#core/card/reading.ts';
import { type ReadUserNumber, readUserNumber } from '#core/card/user-number-file.ts';
import { Fault, type FaultRecord, isFault, toFaultRecord } from '#core/fault.ts';

export interface CardSessionParts {
  /** rejects with a Fault `card-removed`, `card-timeout`, `reading-too-slow` or a reader fault; keeps the deadlines */
  readonly transmit: Transmit;
  /** in order of preference */
  readonly profiles: readonly CardProfile[];
  /** rejects with a Fault `card-key-missing` or `key-unavailable`; the session zeroes what it is given */
  readonly cardKeys: (request: CardKeyRequest) => Promise<CardKeys>;
  /** called while the card authenticates, with what it says of itself: what it does costs the tap no time */
  readonly claimed?: (claim: CardClaim) => void;
  readonly randomBytes: (length: number) => Uint8Array;
  readonly monotonicUs: () => number;
  /** monotonic time of the card event, in microseconds; what lies between it and `read` is connecting */
  readonly presentedAtUs: number;
}

type State =
  | { readonly kind: 'new' }
  | { readonly kind: 'busy'; readonly channel?: SecureChannel }
  | {
      readonly kind: 'open';
      readonly profile: CardProfile;
      readonly transmit: Transmit;
      readonly channel?: SecureChannel;
      readonly reading: Reading;
    }
  | { readonly kind: 'ended' };

type Failure =
  | { readonly kind: 'removed' }
  | { readonly kind: 'timeout' }
  | { readonly kind: 'refused'; readonly fault: FaultRecord };

/** A fault as an outcome; anything else is a bug and is thrown on. */
function failureOf(error: unknown): Failure {
  if (isFault(error, 'card-removed')) return { kind: 'removed' };
  if (isFault(error, 'card-timeout')) return { kind: 'timeout' };
  if (isFault(error)) return { kind: 'refused', fault: toFaultRecord(error) };
  throw error;
}

/** Where the time of a tap went; each mark is a monotonic time in microseconds. */
interface Marks {
  readonly start: number;
  selected: number;
  authenticated: number;
  /** microseconds of the authentication that the card took */
  authenticateCardUs: number;
}

/** One card held up: its reading, and the PIN on the session that stays open. Outcomes are values. */
export class CardSession {
  readonly #parts: CardSessionParts;
  readonly #transmit: Transmit;
  #exchanges = 0;
  /** microseconds that the card has taken to answer so far */
  #cardUs = 0;
  #namedKey: NamedKey | undefined;
  #state: State = { kind: 'new' };

  constructor(parts: CardSessionParts) {
    this.#parts = parts;
    this.#transmit = withResponseHandling(async (command) => {
      this.#exchanges += 1;
      const sentUs = parts.monotonicUs();
      const response = await parts.transmit(command).finally(() => {
        this.#cardUs += parts.monotonicUs() - sentUs;
      });
      this.#demandBusy();
      return response;
    });
  }

  /**
   * Reads the user number by the first profile whose card AP the card has. A bare refusal of SELECT goes on to the
   * next profile, and is the outcome where no other is found. To be called once.
   */
  async read(): Promise<CardOutcome> {
    if (this.#state.kind !== 'new') throw new Error('a card session reads once');
    this.#state = { kind: 'busy' };
    try {
      const start = this.#parts.monotonicUs();
      const found = await this.#select();
      if (found) {
        const selectedAt = this.#parts.monotonicUs();
        const marks = { start, selected: selectedAt, authenticated: selectedAt, authenticateCardUs: 0 };
        return { kind: 'reading', reading: await this.#readBy(found.profile, found.selected, marks) };
      }
      this.close();
      return { kind: 'unknown-card' };
    } catch (error) {
      this.close();
      return this.#failureOfReading(error);
    }
  }

  #failureOfReading(error: unknown): CardOutcome {
    if (isFault(error, 'reading-too-slow')) {
      return { kind: 'too-slow', exchanges: this.#exchanges, cardUs: this.#cardUs };
    }
    const failure = failureOf(error);
    return failure.kind === 'refused' && this.#namedKey ? { ...failure, namedKey: this.#namedKey } : failure;
  }

  /**
   * Verifies a PIN (ASCII digits) on the open session and zeroes `digits` whatever happens. It is sent at most once,
   * and only while the card has as many tries left as the profile demands; after `wrong` it may be called again.
   * A card removed during the command may have counted the try.
   */
  verifyPin(digits: Uint8Array): Promise<PinOutcome> {
    return this.#onPin([digits], async (parts) => {
      const outcome = await verifyPin(parts, digits);
      return { outcome, reading: outcome.kind === 'verified' ? outcome.reading : parts.reading };
    });
  }

  /**
   * Changes the PIN from `current` to `fresh` (ASCII digits) on the open session, under the same rules as `verifyPin`,
   * and zeroes both whatever happens. After `uncertain` the session is closed.
   */
  changePin(current: Uint8Array, fresh: Uint8Array): Promise<PinChangeOutcome> {
    return this.#onPin([current, fresh], async (parts) => {
      const outcome = await changePin(parts, current, fresh);
      if (outcome.kind === 'uncertain') this.close();
      return { outcome, reading: parts.reading };
    });
  }

  /** Runs one PIN command on the open session; a fault closes it. Zeroes `secrets`. */
  async #onPin<Outcome>(
    secrets: readonly Uint8Array[],
    run: (parts: PinParts) => Promise<{ outcome: Outcome; reading: Reading }>,
  ): Promise<Outcome | Failure> {
    try {
      const state = this.#state;
      if (state.kind === 'new' || state.kind === 'busy')
        throw new Error('PIN commands come after the reading, one at a time');
      if (state.kind === 'ended' || !state.channel) throw closed();
      const { profile, channel, reading, transmit } = state;
      this.#state = { kind: 'busy', channel };
      const done = await run({ profile, channel, reading, transmit });
      if (this.#state.kind === 'busy') this.#state = { ...state, reading: done.reading };
      return done.outcome;
    } catch (error) {
      this.close();
      return failureOf(error);
    } finally {
      for (const secret of secrets) secret.fill(0);
    }
  }

  /** Zeroes the session keys; nothing can be sent afterwards. Safe to call twice, and during an exchange. */
  close(): void {
    if (this.#state.kind === 'busy' || this.#state.kind === 'open') this.#state.channel?.close();
    this.#state = { kind: 'ended' };
  }

  /** Throws once the session was closed while the card was answering. */
  #demandBusy(): void {
    if (this.#state.kind !== 'busy') throw closed();
  }

  /** The first card AP that the card has; throws the first refusal of a SELECT where it has none. */
  async #select(): Promise<{ profile: CardProfile; selected: SelectedApplication } | undefined> {
    let refusal: unknown;
    for (const profile of this.#parts.profiles) {
      const answer = splitResponse(await this.#transmit(selectApplication(profile)));
      try {
        const selected = parseSelectAnswer(profile, answer);
        if (selected) return { profile, selected };
      } catch (error) {
        if (!leavesOthers(answer)) throw error;
        refusal ??= error;
      }
    }
    if (refusal !== undefined) throw refusal;
    return undefined;
  }

  async #readBy(profile: CardProfile, selected: SelectedApplication, marks: Marks): Promise<Reading> {
    const transmit = profile.application.extendedLength
      ? this.#transmit
      : withCommandChaining(this.#transmit);
    const selectedCardUs = this.#cardUs;
    const authenticated = await this.#authenticate(profile, selected, transmit);
    const channel = authenticated?.channel;
    if (channel) {
      marks.authenticated = this.#parts.monotonicUs();
      marks.authenticateCardUs = this.#cardUs - selectedCardUs;
    }
    const { userNumber, ...way } = await readUserNumber(profile, async (command) =>
      channel
        ? channel.unwrap(await transmit(channel.wrap(command)))
        : { ...splitResponse(await transmit(encodeCommand(command))), authentic: false, encrypted: false },
    );
    this.#demandBusy();
    const reading: Reading = {
      organization: profile.organization,
      profileId: profile.id,
      method: profile.method,
      userNumber,
      assurance: achieved(way),
      ...keyVersionOf(profile, authenticated?.keyVersion),
      ...(authenticated?.diversifier && { diversifier: toHex(authenticated.diversifier) }),
      timings: this.#timings(marks),
    };
    this.#state = { kind: 'open', profile, reading, transmit, ...(channel && { channel }) };
    return reading;
  }

  async #authenticate(
    profile: CardProfile,
    selected: SelectedApplication,
    transmit: Transmit,
  ): Promise<Authenticated | undefined> {
    if (!profile.channel) return undefined;
    const { cardKeys, randomBytes } = this.#parts;
    const { organization, id: profileId } = profile;
    const claimed = (diversifier: Uint8Array): void =>
      this.#parts.claimed?.({ organization, profileId, diversifier: toHex(diversifier) });
    const keyNamed = (keyVersion: number): void => {
      this.#namedKey = { profileId, keyVersion };
    };
    const parts = { profile, selected, transmit, cardKeys, keyNamed, randomBytes, claimed };
    const authenticated = await authenticate(parts, profile.channel);
    if (this.#state.kind !== 'busy') {
      authenticated.channel.close();
      throw closed();
    }
    this.#state = { kind: 'busy', channel: authenticated.channel };
    return authenticated;
  }

  #timings({ start, selected, authenticated, authenticateCardUs }: Marks): ReadingTimings {
    return {
      connectUs: start - this.#parts.presentedAtUs,
      selectUs: selected - start,
      authenticateUs: authenticated - selected,
      authenticateCardUs,
      readUs: this.#parts.monotonicUs() - authenticated,
      exchanges: this.#exchanges,
    };
  }
}

/** The version used and, where the profile ends it, when. */
function keyVersionOf(
  { keys }: CardProfile,
  keyVersion: number | undefined,
): Pick<Reading, 'keyVersion' | 'keyVersionEndsMs'> {
  if (keyVersion === undefined) return {};
  const ends = keys?.until?.[keyVersion];
  return { keyVersion, ...(ends !== undefined && { keyVersionEndsMs: Date.parse(ends) }) };
}

function closed(): Fault {
  return new Fault('card-channel-closed', 'the card session is closed');
}

/**
 * What was achieved on this card, whatever its profile promises. An answer without a MAC proves nothing, since anybody
 * may have put it in the place of that of the card that authenticated itself.
 */
function achieved({ authentic, encrypted }: Pick<ReadUserNumber, 'authentic' | 'encrypted'>): Assurance {
  if (!authentic) return [];
  return ['mutual-authentication', 'message-authentication', ...(encrypted ? (['encryption'] as const) : [])];
}
