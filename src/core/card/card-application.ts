import { encodeCommand } from '#core/apdu/command.ts';
import { describeStatus, type Response, statusWords } from '#core/apdu/response.ts';
import { equalConstantTime, fromHex } from '#core/bytes/bytes.ts';
import { findTlv, parseTagPath } from '#core/bytes/tlv.ts';
import type { CardProfile } from '#core/card/profile.ts';
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

/**
 * Refusals by which a card may also mean to say that it has no such card AP: deactivated (6283), or a SELECT that
 * another application, which was selected before, does not take.
 */
const refusedStatuses: ReadonlySet<number> = new Set([
  0x6283, // selected file deactivated
  statusWords.conditionsNotSatisfied,
  statusWords.wrongParameters,
  0x6a87, // Lc inconsistent with P1-P2
  statusWords.wrongLength,
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

/** True for an answer to SELECT after which the card AP of another profile may still be there: a bare refusal. */
export function leavesOthers({ data, status }: Response): boolean {
  return refusedStatuses.has(status) && data.length === 0;
}

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
  if (keys?.versionAt === undefined) return {};
  const version = findTlv(data, parseTagPath(keys.versionAt));
  const keyVersion = version?.[0];
  if (keyVersion === undefined || version?.length !== 1) throw malformed('it names no key version');
  if (!keys.diversifier) return { keyVersion };
  const diversifier = findTlv(data, parseTagPath(keys.diversifier.at));
  if (diversifier?.length !== keys.diversifier.length) {
    throw new Fault(
      'card-diversifier-missing',
      'the card AP does not return the diversifier its profile names',
    );
  }
  return { keyVersion, diversifier };
}
