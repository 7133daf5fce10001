import { randomBytes } from 'node:crypto';
import { parseCommand } from '#core/apdu/command.ts';
import { joinResponse } from '#core/apdu/response.ts';
import { answerMutualAuthentication } from '#core/card/channel/mutual/card-side.ts';
import type { ChannelParameters } from '#core/card/channel/mutual/messages.ts';
import { TerminalHandshake } from '#core/card/channel/mutual/terminal-side.ts';
import { Scp03CardHandshake } from '#core/card/channel/scp03/card-side.ts';
import { type Scp03Parameters, scp03KeyLengths } from '#core/card/channel/scp03/messages.ts';
import { Scp03TerminalHandshake } from '#core/card/channel/scp03/terminal-side.ts';
import type { CardSecureChannel, SecureChannel } from '#core/card/channel/secure-channel.ts';

const bytes = (length: number) => new Uint8Array(randomBytes(length));

export interface Joined {
  readonly terminal: SecureChannel;
  readonly card: CardSecureChannel;
}

/** Both ends after a mutual authentication over real messages. */
export function joinedMutually(parameters: ChannelParameters): Joined {
  const keys = { encryption: bytes(16), mac: bytes(16) };
  const cardNonce = bytes(8);
  const handshake = new TerminalHandshake({ parameters, keys, random: bytes });
  const sealed = handshake.command(cardNonce).subarray(5, 45);
  const accepted = answerMutualAuthentication({ parameters, keys, cardNonce, random: bytes }, sealed);
  if (!accepted) throw new Error('the card refused');
  return { terminal: handshake.complete(joinResponse(accepted.answer, 0x9000)), card: accepted.channel };
}

/** Both ends after INITIALIZE UPDATE and EXTERNAL AUTHENTICATE. */
export function joinedByScp03(parameters: Scp03Parameters): Joined {
  const { cipher, mode } = parameters;
  const length = scp03KeyLengths[cipher];
  const keys = { encryption: bytes(length), mac: bytes(length) };
  const handshake = new Scp03TerminalHandshake({ parameters, askedKeyVersion: 0, random: bytes });
  const challenge = parseCommand(handshake.initializeUpdate())?.data ?? new Uint8Array();
  const parts = {
    cipher,
    mode,
    keys,
    keyVersion: 1,
    diversifier: bytes(10),
    challenge: bytes(challenge.length),
  };
  const answering = new Scp03CardHandshake(parts, challenge);
  handshake.takeCardData(joinResponse(answering.answer(), 0x9000));
  const card = answering.accept(handshake.externalAuthenticate(keys));
  if (!card) throw new Error('the card refused');
  handshake.prepare();
  return { terminal: handshake.complete(Uint8Array.of(0x90, 0x00)), card };
}
