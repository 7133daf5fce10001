/** A fault the virtual card commits on request; `exchange` counts the APDUs since power on from 1. */
export type CardFault =
  /** the card leaves the field while it works on this APDU */
  | { readonly kind: 'removed'; readonly exchange: number }
  /** bit `bit` of the response, from 0 at the first byte's most significant, arrives inverted */
  | { readonly kind: 'flipped-bit'; readonly exchange: number; readonly bit: number }
  /** every APDU takes this much longer */
  | { readonly kind: 'slow'; readonly delayMs: number }
  /** this APDU is answered by the bare status word, and not worked on */
  | { readonly kind: 'status'; readonly exchange: number; readonly status: number }
  /** this APDU is never answered */
  | { readonly kind: 'silent'; readonly exchange: number };

/** A My Number Card without the plastic: ISO 7816-4 over APDUs, to be linked to vpcd or to a session directly. */
export class VirtualCard {
  /** called when the card leaves the field by a fault, so that the link can take it out of the reader */
  onRemoved: (() => void) | undefined;

  /** Answer to reset as a PC/SC reader makes it up for a Type B card; new at each activation. */
  get atr(): Uint8Array {
    return new Uint8Array();
  }

  powerOn(): void {}

  powerOff(): void {}

  reset(): void {}

  /** Answers one command APDU. Rejects with a Fault `card-removed` when the card leaves the field meanwhile. */
  readonly transmit = async (command: Uint8Array): Promise<Uint8Array> => command;

  misbehave(_fault: CardFault): void {}
}

/** Makes the card that a YAML file describes; with `stateFile`, PIN counters outlive the process. */
export async function loadVirtualCard(
  _file: string,
  _options: { stateFile?: string } = {},
): Promise<VirtualCard> {
  return new VirtualCard();
}
