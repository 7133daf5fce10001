import { encodeCommand, parseCommand } from '#core/apdu/command.ts';
import { statusWords } from '#core/apdu/response.ts';
import type { Transmit } from '#core/apdu/transmit.ts';

/** Bit of the class that marks every command of a chain but the last (ISO 7816-4, 5.4.1). */
export const chainingBit = 0x10;

const mostData = 0xff;

/**
 * For cards without extended length: sends a command of more than 255 bytes of data as a chain of short ones
 * (ISO 7816-4, 5.3.3), and asks for at most 256 bytes, after which GET RESPONSE fetches the rest. An answer that breaks
 * the chain is the command's answer.
 */
export function withCommandChaining(transmit: Transmit): Transmit {
  return async (apdu) => {
    const isExtended = apdu.length > 5 && apdu[4] === 0;
    const command = isExtended ? parseCommand(apdu) : undefined;
    if (!command) return transmit(apdu);
    const { data = new Uint8Array(), expected, ...header } = command;
    let sent = 0;
    for (; data.length - sent > mostData; sent += mostData) {
      const part = data.subarray(sent, sent + mostData);
      const answer = await transmit(encodeCommand({ ...header, cla: header.cla | chainingBit, data: part }));
      if (answer.length !== 2 || ((answer[0] ?? 0) << 8) + (answer[1] ?? 0) !== statusWords.success)
        return answer;
    }
    const last = { ...header, data: data.subarray(sent) };
    return transmit(
      encodeCommand(expected === undefined ? last : { ...last, expected: Math.min(expected, 256) }),
    );
  };
}
