import type { Command } from '#core/apdu/command.ts';
import { describeStatus, statusWords } from '#core/apdu/response.ts';
import { concat, fromHex, toHex } from '#core/bytes/bytes.ts';
import { findTlv, parseTagPath, tlvEnd } from '#core/bytes/tlv.ts';
import type { ChannelResponse } from '#core/card/channel/secure-channel.ts';
import type { CardProfile } from '#core/card/profile.ts';
import { hasUserNumberFormat, looksLikeIndividualNumber } from '#core/card/user-number.ts';
import { Fault } from '#core/fault.ts';

/** Sends a command, protected where there is a channel. */
export type Exchange = (command: Command) => Promise<ChannelResponse>;

/** A user number as it was read, and what is known of the way it came: of every answer that held some of it. */
export interface ReadUserNumber {
  readonly userNumber: string;
  readonly authentic: boolean;
  readonly encrypted: boolean;
}

interface Content {
  readonly bytes: Uint8Array;
  readonly authentic: boolean;
  readonly encrypted: boolean;
}

/** Bytes a READ asks for: what fits in a short answer, which a channel's padding, MAC and data objects take part of. */
const mostInTheClear = 256;
const mostProtected = 223;

function malformed(what: string): Fault {
  return new Fault('card-answer-malformed', `the card's answer is malformed: ${what}`);
}

const tooShort = (): Fault => malformed('it is shorter than what was asked for');

/**
 * SCP03 protects all of a command but Le (Amendment D, 6.2.4): somebody in between may lower it and be given the
 * beginning of a user number with a right R-MAC, another person's number. So there nothing may be shorter than what
 * was asked for, unless the card says, under the R-MAC, that the file ended. Secure messaging protects Le in DO'97'.
 */
function mayBeCutOff({ channel }: CardProfile): boolean {
  return channel?.mechanism === 'scp03';
}

function demandStatus(status: number, ...accepted: readonly number[]): void {
  if (!accepted.includes(status)) {
    throw new Fault('card-answer-status', `the user number cannot be read: status ${describeStatus(status)}`);
  }
}

/**
 * Reads the user number where the profile says it lies: selects the file by its identifier, or names it in the READ.
 *
 * @throws Fault `card-answer-status`, `card-answer-malformed`, `user-number-format`, `user-number-individual-number`,
 * none of which repeats the number, and what `exchange` rejects with
 */
export async function readUserNumber(profile: CardProfile, exchange: Exchange): Promise<ReadUserNumber> {
  const { fileId, record } = profile.userNumber.file;
  if (fileId !== undefined) {
    const { status } = await exchange({ cla: 0, ins: 0xa4, p1: 0x02, p2: 0x0c, data: fromHex(fileId) });
    demandStatus(status, statusWords.success);
  }
  const content =
    record === undefined ? await readBinary(profile, exchange) : await readRecord(profile, record, exchange);
  const { authentic, encrypted } = content;
  return { userNumber: decodeUserNumber(profile, content.bytes), authentic, encrypted };
}

/** READ RECORD by number (ISO 7816-4, 11.4.3); a record is read whole. */
async function readRecord(profile: CardProfile, record: number, exchange: Exchange): Promise<Content> {
  const { file, offset, length, at } = profile.userNumber;
  const p2 = ((file.shortFileId ?? 0) << 3) | 0x04;
  const { data, status, ...way } = await exchange({ cla: 0, ins: 0xb2, p1: record, p2, expected: 256 });
  demandStatus(status, statusWords.success, statusWords.endOfFile);
  // a data object that was cut off does not parse; 6282 says that the record itself is no longer
  const isShort = at === undefined && data.length < offset + length;
  if (isShort && status !== statusWords.endOfFile && mayBeCutOff(profile)) throw tooShort();
  return { bytes: data.subarray(offset, offset + length), ...way };
}

/**
 * READ BINARY (ISO 7816-4, 11.3.3), again and again where one answer cannot hold what the profile asks for, up to the
 * end of the file or of the data object. The first names the file, which the others then go on in.
 */
async function readBinary(profile: CardProfile, exchange: Exchange): Promise<Content> {
  const { file, offset, length, at } = profile.userNumber;
  const inShortForm = profile.channel ? mostProtected : mostInTheClear;
  const most = profile.application.extendedLength ? length : inShortForm;
  let content: Content = { bytes: new Uint8Array(), authentic: true, encrypted: true };
  let wanted = length;
  while (content.bytes.length < wanted) {
    const start = offset + content.bytes.length;
    const expected = Math.min(most, wanted - content.bytes.length);
    const isFirst = content.bytes.length === 0;
    const p1 = isFirst && file.shortFileId !== undefined ? 0x80 | file.shortFileId : start >> 8;
    const answer = await exchange({ cla: 0, ins: 0xb0, p1, p2: start & 0xff, expected });
    if (!isFirst && answer.status === statusWords.beyondEnd) break;
    demandStatus(answer.status, statusWords.success, statusWords.endOfFile);
    if (answer.data.length > expected) throw malformed('it is longer than what was asked for');
    content = {
      bytes: concat(content.bytes, answer.data),
      authentic: content.authentic && answer.authentic,
      encrypted: content.encrypted && answer.encrypted,
    };
    if (answer.data.length < expected) {
      if (answer.status !== statusWords.endOfFile && mayBeCutOff(profile)) throw tooShort();
      break;
    }
    if (at !== undefined) wanted = Math.min(length, tlvEnd(content.bytes, parseTagPath(at)) ?? length);
  }
  return content;
}

/** The value at a path of tags; what follows its outermost data object may have been cut off. */
function objectAt(content: Uint8Array, at: string): Uint8Array | undefined {
  const path = parseTagPath(at);
  return findTlv(content.subarray(0, tlvEnd(content, path)), path, 'padded');
}

/** The bytes of the user number in the content that was read, padding included. */
function userNumberBytes({ userNumber }: CardProfile, content: Uint8Array): Uint8Array {
  const { at, length, padding } = userNumber;
  const bytes = at === undefined ? content : objectAt(content, at);
  if (!bytes || bytes.length === 0) throw malformed('it holds no user number');
  if (at === undefined && bytes.length < length && padding === 'none') {
    throw malformed('it is shorter than the user number');
  }
  return bytes;
}

function decodeUserNumber(profile: CardProfile, content: Uint8Array): string {
  const bytes = userNumberBytes(profile, content);
  const { encoding, format, padding } = profile.userNumber;
  const filler = padding === 'none' ? undefined : Number.parseInt(padding, 16);
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === filler) end -= 1;
  const unpadded = bytes.subarray(0, end);
  const text = encoding === 'bcd' ? toHex(unpadded).replace(/F$/, '') : String.fromCharCode(...unpadded);
  if (looksLikeIndividualNumber(text)) {
    throw new Fault(
      'user-number-individual-number',
      'the card AP holds what looks like an Individual Number',
    );
  }
  if (!hasUserNumberFormat(format, text)) {
    throw new Fault(
      'user-number-format',
      'the card AP holds a user number of another format than its profile says',
    );
  }
  return text;
}
