import type { Command } from '#core/apdu/command.ts';
import { encodeCommand } from '#core/apdu/command.ts';
import { type Response, splitResponse, statusWords } from '#core/apdu/response.ts';
import { withResponseHandling } from '#core/apdu/response-handling.ts';
import type { Transmit } from '#core/apdu/transmit.ts';
import { toHex } from '#core/bytes/bytes.ts';
import {
  decodeUserNumber,
  parseSelectAnswer,
  readUserNumber,
  type SelectedApplication,
  selectApplication,
} from '#core/card/card-application.ts';
import type { TerminalChannel } from '#core/card/channel/mutual/terminal-channel.ts';
import { getChallenge, parseChallenge, TerminalHandshake } from '#core/card/channel/mutual/terminal-side.ts';
import type { CardKeyRequest, CardKeys } from '#core/card/keys.ts';
import { verifyPin } from '#core/card/pin.ts';
import type { CardProfile } from '#core/card/profile.ts';
import type {
  AssuranceProperty,
  CardClaim,
  CardOutcome,
  PinOutcome,
  Reading,
  ReadingTimings,
} from '#core/card/reading.ts';
import { Fault, type FaultRecord, isFault, toFaultRecord } from '#core/fault.ts';

export interface CardSessionParts {
  /** rejects with a Fault `card-removed`, `card-timeout` or a reader fault; keeps the deadlines */
  readonly transmit: Transmit;
  /** in order of preference */
  readonly profiles: readonly CardProfile[];
  /** rejects with a Fault `key-unavailable`; the session zeroes what it is given */
  readonly cardKeys: (request: CardKeyRequest) => Promise<CardKeys>;
  /** called while the card authenticates, with what it says of itself: what it does costs the tap no time */
  readonly claimed: (claim: CardClaim) => void;
  readonly randomBytes: (length: number) => Uint8Array;
  readonly monotonicUs: () => number;
  /** microseconds that connecting took, for the timings of the reading */
  readonly connectUs: number;
}

type State =
  | { readonly kind: 'new' }
  | { readonly kind: 'busy'; readonly channel?: TerminalChannel }
  | {
      readonly kind: 'open';
      readonly profile: CardProfile;
      readonly channel?: TerminalChannel;
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

function zeroKeys({ encryption, mac }: CardKeys): void {
  encryption.fill(0);
  mac.fill(0);
}

/** Where the time of a tap went; each mark is a monotonic time in microseconds. */
interface Marks {
  readonly start: number;
  selected: number;
  authenticated: number;
}

/** One card held up: its reading, and the PIN on the session that stays open. Outcomes are values. */
export class CardSession {
  readonly #parts: CardSessionParts;
  readonly #transmit: Transmit;
  #exchanges = 0;
  #state: State = { kind: 'new' };

  constructor(parts: CardSessionParts) {
    this.#parts = parts;
    this.#transmit = withResponseHandling((command) => {
      this.#exchanges += 1;
      return parts.transmit(command);
    });
  }

  /** Reads the user number by the first profile whose card AP the card has. To be called once. */
  async read(): Promise<CardOutcome> {
    if (this.#state.kind !== 'new') throw new Error('a card session reads once');
    this.#state = { kind: 'busy' };
    try {
      const start = this.#parts.monotonicUs();
      for (const profile of this.#parts.profiles) {
        const selected = parseSelectAnswer(
          profile,
          splitResponse(await this.#transmit(selectApplication(profile))),
        );
        this.#demandBusy();
        if (!selected) continue;
        const selectedAt = this.#parts.monotonicUs();
        const marks = { start, selected: selectedAt, authenticated: selectedAt };
        return { kind: 'reading', reading: await this.#readBy(profile, selected, marks) };
      }
      this.close();
      return { kind: 'unknown-card' };
    } catch (error) {
      this.close();
      return failureOf(error);
    }
  }

  /**
   * Verifies a PIN (ASCII digits) on the open session and zeroes `digits` whatever happens. It is sent at most once,
   * and only while the card has as many tries left as the profile demands; after `wrong` it may be called again.
   * A card removed during the command may have counted the try.
   */
  async verifyPin(digits: Uint8Array): Promise<PinOutcome> {
    try {
      const state = this.#state;
      if (state.kind === 'new' || state.kind === 'busy')
        throw new Error('a PIN is verified after the reading, one at a time');
      if (state.kind === 'ended' || !state.channel) throw closed();
      const { profile, channel, reading } = state;
      this.#state = { kind: 'busy', channel };
      const outcome = await verifyPin({ profile, channel, reading, transmit: this.#transmit }, digits);
      this.#demandBusy();
      const next = outcome.kind === 'verified' ? outcome.reading : reading;
      this.#state = { kind: 'open', profile, channel, reading: next };
      return outcome;
    } catch (error) {
      this.close();
      return failureOf(error);
    } finally {
      digits.fill(0);
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

  async #readBy(profile: CardProfile, selected: SelectedApplication, marks: Marks): Promise<Reading> {
    const channel = profile.channel && (await this.#authenticate(profile, profile.channel, selected));
    if (channel) marks.authenticated = this.#parts.monotonicUs();
    let answer: Response & { readonly encrypted: boolean } = {
      data: new Uint8Array(),
      status: 0,
      encrypted: false,
    };
    for (const command of readUserNumber(profile)) {
      answer = await this.#exchange(channel, command);
      this.#demandBusy();
      if (command.ins === 0xa4 && answer.status !== statusWords.success) break;
    }
    const userNumber = decodeUserNumber(profile, answer);
    const reading: Reading = {
      organization: profile.organization,
      profileId: profile.id,
      method: profile.method,
      userNumber,
      assurance: achieved(channel, answer.encrypted),
      ...keyVersionOf(profile, selected.keyVersion),
      ...(selected.diversifier && { diversifier: toHex(selected.diversifier) }),
      timings: this.#timings(marks),
    };
    this.#state = { kind: 'open', profile, reading, ...(channel && { channel }) };
    return reading;
  }

  #timings({ start, selected, authenticated }: Marks): ReadingTimings {
    return {
      connectUs: this.#parts.connectUs,
      selectUs: selected - start,
      authenticateUs: authenticated - selected,
      readUs: this.#parts.monotonicUs() - authenticated,
      exchanges: this.#exchanges,
    };
  }

  async #exchange(
    channel: TerminalChannel | undefined,
    command: Command,
  ): Promise<Response & { readonly encrypted: boolean }> {
    if (channel) return channel.unwrap(await this.#transmit(channel.wrap(command)));
    return { ...splitResponse(await this.#transmit(encodeCommand(command))), encrypted: false };
  }

  /** GET CHALLENGE while the keys are derived and made ready, then MUTUAL AUTHENTICATE. */
  async #authenticate(
    profile: CardProfile,
    parameters: NonNullable<CardProfile['channel']>,
    selected: SelectedApplication,
  ): Promise<TerminalChannel> {
    const [challenge, prepared] = await Promise.allSettled([
      this.#transmit(getChallenge),
      this.#prepareHandshake(profile, parameters, selected),
    ]);
    const handshake = prepared.status === 'fulfilled' ? prepared.value : undefined;
    try {
      this.#demandBusy();
      if (challenge.status === 'rejected') throw challenge.reason;
      if (!handshake) throw (prepared as PromiseRejectedResult).reason;
      const answering = this.#transmit(handshake.command(parseChallenge(challenge.value)));
      this.#claim(profile, selected);
      const answer = await answering;
      this.#demandBusy();
      const channel = handshake.complete(answer);
      this.#state = { kind: 'busy', channel };
      return channel;
    } finally {
      handshake?.close();
    }
  }

  #claim({ organization, id: profileId }: CardProfile, { diversifier }: SelectedApplication): void {
    if (diversifier) this.#parts.claimed({ organization, profileId, diversifier: toHex(diversifier) });
  }

  async #prepareHandshake(
    profile: CardProfile,
    parameters: NonNullable<CardProfile['channel']>,
    selected: SelectedApplication,
  ): Promise<TerminalHandshake> {
    const keys = await this.#cardKeys(profile, selected);
    try {
      return new TerminalHandshake({ parameters, keys, random: this.#parts.randomBytes });
    } finally {
      zeroKeys(keys);
    }
  }

  async #cardKeys(
    profile: CardProfile,
    { keyVersion = 0, diversifier }: SelectedApplication,
  ): Promise<CardKeys> {
    if (!profile.keys?.versions.includes(keyVersion)) {
      throw new Fault(
        'key-unavailable',
        `the card has keys of version ${keyVersion}, which its profile does not list`,
      );
    }
    const { diversification } = profile.keys;
    const request = {
      profileId: profile.id,
      keyVersion,
      diversification,
      ...(diversifier && { diversifier }),
    };
    let keys: CardKeys;
    try {
      keys = await this.#parts.cardKeys(request);
    } catch (cause) {
      throw isFault(cause)
        ? cause
        : new Fault('key-unavailable', 'the keys of the card cannot be derived', { cause });
    }
    if (keys.encryption.length === 16 && keys.mac.length === 16) return keys;
    zeroKeys(keys);
    throw new Fault('key-unavailable', 'the keys of the card do not have 16 bytes');
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

/** What was achieved on this card, whatever its profile promises. */
function achieved(channel: TerminalChannel | undefined, encrypted: boolean): AssuranceProperty[] {
  if (!channel) return [];
  return ['mutual-authentication', 'message-authentication', ...(encrypted ? (['encryption'] as const) : [])];
}
