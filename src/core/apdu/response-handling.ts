import { joinResponse } from '#core/apdu/response.ts';
import type { Transmit } from '#core/apdu/transmit.ts';
import { concat, copyOf } from '#core/bytes/bytes.ts';
import { Fault } from '#core/fault.ts';

/** Bounds on what a card may make us do: GET RESPONSE commands a response, and bytes in all. */
const mostContinuations = 16;
const mostBytes = 4096;

const endless = (): Fault =>
  new Fault('card-answer-malformed', 'the card promises more data than any answer of ours has');

/** Commands that may be sent twice: they change nothing on the card and cost no try (SELECT, READ, GET DATA). */
const repeatable: ReadonlySet<number> = new Set([0xa4, 0xb0, 0xb2, 0xca]);

function mayRepeat(command: Uint8Array): boolean {
  // a protected command is tied to its counter: repeated, it would not be authentic
  return ((command[0] ?? 0) & 0x0c) === 0 && repeatable.has(command[1] ?? 0);
}

/** The short command with another Le; undefined when it is extended or has no Le to change. */
function withExpected(command: Uint8Array, le: number): Uint8Array | undefined {
  const withoutData = command.length === 5;
  const withData = command.length > 5 && command.length === 6 + (command[4] ?? 0);
  if (!withoutData && !withData) return undefined;
  const changed = copyOf(command);
  changed[changed.length - 1] = le;
  return changed;
}

async function collect(transmit: Transmit, cla: number, first: Uint8Array): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  let response = first;
  for (let count = 0; response.at(-2) === 0x61; count += 1) {
    parts.push(response.subarray(0, -2));
    length += response.length - 2;
    if (count === mostContinuations || length > mostBytes) throw endless();
    response = await transmit(Uint8Array.of(cla & 0x03, 0xc0, 0x00, 0x00, response.at(-1) ?? 0));
  }
  if (length + response.length > mostBytes) throw endless();
  const status = ((response.at(-2) ?? 0) << 8) | (response.at(-1) ?? 0);
  return joinResponse(concat(...parts, response.subarray(0, -2)), status);
}

/**
 * Answers 61xx by GET RESPONSE and 6Cxx by repeating the command once with the Le the card names (ISO 7816-4,
 * 5.1.3), the latter for commands in the clear that change nothing. Rejects with a Fault `card-answer-malformed`
 * when a card never comes to an end.
 */
export function withResponseHandling(transmit: Transmit): Transmit {
  return async (command) => {
    let response = await transmit(command);
    if (response.length === 2 && response[0] === 0x6c && mayRepeat(command)) {
      const repeated = withExpected(command, response[1] ?? 0);
      if (repeated) response = await transmit(repeated);
    }
    return response.at(-2) === 0x61 && response.length >= 2
      ? collect(transmit, command[0] ?? 0, response)
      : response;
  };
}
