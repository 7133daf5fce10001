import { type Command, encodeCommand } from '#core/apdu/command.ts';
import { describeStatus, type Response, statusWords } from '#core/apdu/response.ts';
import { equalConstantTime, fromHex } from '#core/bytes/bytes.ts';
import { findTlv } from '#core/bytes/tlv.ts';
import type { CardProfile } from '#core/card/profile.ts';
import { hasUserNumberFormat, looksLikeIndividualNumber } from '#core/card/user-number.ts';
import { Fault } from '#core/fault.ts';

/** A card AP as its answer to SELECT presents it. */
export interface SelectedApplication {
  readonly keyVersion?: number;
  readonly diversifier?: Uint8Array;
}

/** The answers to SELECT of a card without the card AP, or of a card without applications at all. */
const absentStatuses: ReadonlySet<number> = new Set([
  statusWords.notFound,
  0x6a81, // function not supported
  0x6999, // applet selection failed
  statusWords.instructionNotSupported,
  statusWords.classNotSupported,
]);

const aidPath = [0x6f, 0x84];

function malformed(what: string): Fault {
  return new Fault('card-answer-malformed', `the card's answer is malformed: ${what}`);
}

/** SELECT by the whole AID, `00 A4 04 00 Lc AID 00`, or `00 A4 04 0C Lc AID` where no answer is asked for. */
export function selectApplication({ application: { aid, answer } }: CardProfile): Uint8Array {
  const data = fromHex(aid);
  const select = { cla: 0x00, ins: 0xa4, p1: 0x04, data };
  return encodeCommand(answer === 'fci' ? { ...select, p2: 0x00, expected: 256 } : { ...select, p2: 0x0c });
}

const parsePath = (path: string): number[] => path.split('/').map((tag) => Number.parseInt(tag, 16));

/**
 * What SELECT answered; undefined where the card does not have the card AP. An AID in the answer must be the
 * profile's own, since cards select the first application that a partial AID matches.
 * Throws a Fault `card-answer-status`, `card-answer-malformed` or `card-diversifier-missing`.
 */
export function parseSelectAnswer(profile: CardProfile, response: Response): SelectedApplication | undefined {
  const { application, keys } = profile;
  const { data, status } = response;
  if (absentStatuses.has(status) && data.length === 0) return undefined;
  if (status !== statusWords.success) {
    throw new Fault('card-answer-status', `the card did not select: status ${describeStatus(status)}`);
  }
  if (data.length === 0 && application.answer === 'none') return {};
  const aid = findTlv(data, aidPath);
  if (!aid || !equalConstantTime(aid, fromHex(application.aid))) {
    throw malformed('the selected application is not the one of the profile');
  }
  if (!keys) return {};
  const version = findTlv(data, parsePath(keys.versionAt));
  const keyVersion = version?.[0];
  if (keyVersion === undefined || version?.length !== 1) throw malformed('it names no key version');
  if (!keys.diversifier) return { keyVersion };
  const diversifier = findTlv(data, parsePath(keys.diversifier.at));
  if (diversifier?.length !== keys.diversifier.length) {
    throw new Fault(
      'card-diversifier-missing',
      'the card AP does not return the diversifier its profile names',
    );
  }
  return { keyVersion, diversifier };
}

/** The commands that read the user number; the answer to the last one holds it. */
export function readUserNumber({ userNumber: { file, offset, length } }: CardProfile): readonly Command[] {
  const { fileId, shortFileId = 0, record } = file;
  const selectFile: Command[] =
    fileId === undefined ? [] : [{ cla: 0, ins: 0xa4, p1: 0x02, p2: 0x0c, data: fromHex(fileId) }];
  if (record !== undefined) {
    return [...selectFile, { cla: 0, ins: 0xb2, p1: record, p2: (shortFileId << 3) | 0x04, expected: 256 }];
  }
  const p1 = fileId === undefined ? 0x80 | shortFileId : 0;
  return [...selectFile, { cla: 0, ins: 0xb0, p1, p2: offset, expected: length }];
}

/** The bytes of the user number, at most as many as were asked for; fewer where the file ends before. */
function userNumberBytes({ userNumber }: CardProfile, { data, status }: Response): Uint8Array {
  const { file, length, offset, padding } = userNumber;
  if (status !== statusWords.success && status !== statusWords.endOfFile) {
    throw new Fault('card-answer-status', `the user number cannot be read: status ${describeStatus(status)}`);
  }
  if (file.record === undefined && data.length > length)
    throw malformed('it is longer than what was asked for');
  const bytes = file.record === undefined ? data : data.subarray(offset, offset + length);
  if (bytes.length === 0) throw malformed('it holds no user number');
  if (bytes.length < length && padding === 'none') throw malformed('it is shorter than the user number');
  return bytes;
}

/**
 * The user number in the answer to the last read command.
 * Throws a Fault `card-answer-status`, `card-answer-malformed`, `user-number-format` or
 * `user-number-individual-number`; none of them repeats the number.
 */
export function decodeUserNumber(profile: CardProfile, response: Response): string {
  const bytes = userNumberBytes(profile, response);
  const { format, padding } = profile.userNumber;
  const filler = padding === 'none' ? undefined : Number.parseInt(padding, 16);
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === filler) end -= 1;
  const text = String.fromCharCode(...bytes.subarray(0, end));
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
