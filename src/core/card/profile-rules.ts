import { fixedApplications } from '#core/card/applications.ts';
import { scp03Protection } from '#core/card/channel/scp03/messages.ts';
import type { PinFormat } from '#core/card/pin-format.ts';
import type { ProfileShape } from '#core/card/profile.ts';

/** Notes a problem at a place of the profile. */
export type Report = (path: readonly (string | number)[], message: string) => void;

function checkApplication({ aid, aidLength }: ProfileShape['application'], report: Report): void {
  const path = ['application', 'aid'];
  const bytes = aid.length / 2;
  if (aidLength !== undefined && aidLength !== bytes) {
    report(path, `has ${bytes} bytes, but aidLength states ${aidLength} (give the whole AID)`);
  } else if (bytes < 10 && (aidLength === undefined || aid.startsWith('D392'))) {
    report(
      path,
      `has only ${bytes} bytes: a shortened AID may select another application (give the whole AID)`,
    );
  } else if (bytes <= 5) {
    report(path, 'is a registered prefix alone (give the whole AID)');
  }
  const fixed = fixedApplications.find((known) => known.aid.startsWith(aid));
  if (fixed) report(path, `selects the card's own ${fixed.name} application (give the card AP's own AID)`);
}

/** What a channel does for the reading and for a PIN. */
function channelProperties(channel: ProfileShape['channel']): {
  readonly authenticatesResponses: boolean;
  readonly encryptsResponses: boolean;
  readonly encryptsPins: boolean;
} {
  if (channel?.mechanism === 'scp03') {
    const { encryptsCommands, ...responses } = scp03Protection(channel.level);
    return { ...responses, encryptsPins: encryptsCommands };
  }
  const exists = channel !== undefined;
  return {
    authenticatesResponses: exists,
    encryptsResponses: channel?.messages === 'encrypted',
    encryptsPins: exists,
  };
}

function checkMethod(profile: ProfileShape, report: Report): void {
  const { method } = profile;
  if (method === 'type-c') {
    for (const section of ['channel', 'keys', 'pin'] as const) {
      if (profile[section])
        report([section], 'has no place in Type C, which has no keys and no PIN (remove it)');
    }
    return;
  }
  const properties = channelProperties(profile.channel);
  if (method === 'type-a' && !profile.channel) {
    report(['channel'], 'is missing: Type A authenticates mutually (add channel and keys)');
  } else if (method === 'type-a' && !properties.authenticatesResponses) {
    report(['channel', 'level'], 'must be 11, 13 or 33: Type A reads nothing without a MAC');
  }
  if (method === 'type-d' && !properties.encryptsResponses) {
    const [place, remedy] =
      profile.channel?.mechanism === 'scp03'
        ? ['level', '(set level: "33")']
        : ['messages', '(set messages: encrypted)'];
    report(['channel', place], `must be encrypted: Type D encrypts what it reads ${remedy}`);
  }
  if (method === 'type-d' && profile.pin) {
    report(['pin'], 'has no place in Type D, which has no PIN (remove it)');
  }
}

/** SELECT tells `mutual` version and diversifier; SCP03 has them in the answer to INITIALIZE UPDATE. */
function checkKeyPlaces({ application: { answer }, channel, keys }: ProfileShape, report: Report): void {
  if (channel?.mechanism === 'scp03') {
    for (const name of ['versionAt', 'diversifier'] as const) {
      if (keys?.[name])
        report(['keys', name], 'has no place in SCP03, where INITIALIZE UPDATE tells it (remove it)');
    }
    return;
  }
  if (answer !== 'fci') {
    report(['application', 'answer'], 'must be fci: the answer to SELECT names the key version');
  }
  if (!keys?.versionAt) report(['keys', 'versionAt'], 'is missing (say where SELECT names the key version)');
  if (keys?.diversification !== 'none' && !keys?.diversifier) {
    report(
      ['keys', 'diversifier'],
      'is missing: each card has keys of its own, made from it (say where it is)',
    );
  }
  if (keys?.diversification === 'none' && keys.diversifier) {
    const why = 'nothing proves it where all cards share their keys';
    report(['keys', 'diversifier'], `has no place without diversification: ${why} (remove it)`);
  }
  if (keys?.diversifier && keys.diversifier.at === keys.versionAt) {
    report(['keys', 'diversifier', 'at'], 'is where the key version is (name the tag of the diversifier)');
  }
}

/** A card refuses INITIALIZE UPDATE for a version that it does not have: cards of every other one would be denied. */
function checkAskedKeyVersion({ channel, keys }: ProfileShape, report: Report): void {
  if (channel?.mechanism !== 'scp03' || channel.askedKeyVersion === 0 || !keys) return;
  const path = ['channel', 'askedKeyVersion'];
  if (!keys.versions.includes(channel.askedKeyVersion)) {
    report(path, 'is not among keys.versions (correct it, or set 0: the card chooses)');
  } else if (keys.versions.length > 1) {
    report(path, 'must be 0 while more than one key version is accepted: the card chooses (set 0)');
  }
}

function checkKeys(profile: ProfileShape, report: Report): void {
  const { channel, keys } = profile;
  if (channel && !keys) report(['keys'], 'is missing: the channel needs them (name versions)');
  if (keys && !channel) report(['keys'], 'has no channel to use it (add channel, or remove keys)');
  if (!keys) return;
  if (channel) checkKeyPlaces(profile, report);
  checkAskedKeyVersion(profile, report);
  if (new Set(keys.versions).size !== keys.versions.length) {
    report(['keys', 'versions'], 'names a version twice');
  }
  for (const version of Object.keys(keys.until ?? {})) {
    if (!keys.versions.some((known) => String(known) === version)) {
      report(['keys', 'until', version], 'is not among the versions (correct it, or remove it)');
    }
  }
}

function checkUserNumberPlace(
  { file, offset, length, at }: ProfileShape['userNumber'],
  report: Report,
): void {
  if ((file.shortFileId === undefined) === (file.fileId === undefined)) {
    report(['userNumber', 'file'], 'must have one of shortFileId and fileId');
  }
  if (file.record !== undefined && offset + length > 256 && at === undefined) {
    report(['userNumber', 'length'], 'is more than a record has (a record has 256 bytes at most)');
  }
  if (file.record === undefined && file.shortFileId !== undefined && offset > 255) {
    report(['userNumber', 'offset'], 'is more than 255, which needs the file by its fileId');
  }
  if (offset + length > 32_768) {
    report(['userNumber', 'offset'], 'is more than READ BINARY reaches (32,767 with the length)');
  }
}

function checkUserNumberText(
  { length, at, encoding, padding, format }: ProfileShape['userNumber'],
  report: Report,
): void {
  const path = ['userNumber'];
  const characters = encoding === 'bcd' ? 2 * length : length;
  if (format.maximumLength > characters) {
    report([...path, 'format', 'maximumLength'], `is more than the ${length} bytes that are read`);
  }
  const fixed =
    format.minimumLength === format.maximumLength &&
    Math.ceil(format.maximumLength / (characters / length)) === length;
  if (padding === 'none' && at === undefined && !fixed) {
    report([...path, 'padding'], 'is none, so the format must have exactly the length that is read');
  }
  if (encoding === 'bcd' && format.alphabet !== 'digits') {
    report([...path, 'format', 'alphabet'], 'must be digits, since bcd holds nothing else');
  }
  if (encoding === 'bcd' && (padding === '00' || padding === '20')) {
    report([...path, 'padding'], 'would be digits in bcd (use "FF" or "none")');
  }
}

function checkPin({ channel, pin }: ProfileShape, report: Report): void {
  if (!pin) return;
  const { encryptsPins, authenticatesResponses } = channelProperties(channel);
  if (!channel) {
    report(['pin'], 'needs a channel: a PIN crosses the air encrypted or not at all (add channel and keys)');
  } else if (!encryptsPins || !authenticatesResponses) {
    report(
      ['channel', 'level'],
      'must be 13 or 33 with a PIN, which crosses the air encrypted, its answer with a MAC',
    );
  }
  if (pin.maximumDigits < pin.minimumDigits) {
    report(['pin', 'maximumDigits'], 'is smaller than minimumDigits');
  }
  checkPinFormat(pin, pin.maximumDigits, (path, message) => report(['pin', ...path], message));
}

/** Whether a PIN of up to `maximumDigits` can stand in its format, and be told from its padding. */
export function checkPinFormat(
  { encoding, padding, length }: PinFormat,
  maximumDigits: number,
  report: Report,
): void {
  if (encoding === 'iso-9564-2') {
    const why = 'has no place in iso-9564-2, which is 8 bytes filled with F (remove it)';
    if (padding !== 'none') report(['padding'], why);
    if (length !== undefined) report(['length'], why);
    return;
  }
  if (padding !== 'none' && length === undefined) {
    report(['length'], 'is missing: say how many bytes the PIN has with its padding');
  }
  if (padding === 'none' && length !== undefined) {
    report(['padding'], 'is none, so the PIN has as many bytes as its digits need (remove length)');
  }
  if (encoding === 'bcd' && (padding === '00' || padding === '20')) {
    report(['padding'], 'would be digits in bcd (use "FF" or "none")');
  }
  const longest = encoding === 'bcd' ? Math.ceil(maximumDigits / 2) : maximumDigits;
  if (length !== undefined && length < longest) {
    report(['length'], `is less than the ${longest} bytes of the longest PIN`);
  }
}

/** What the schema cannot say of a profile: each problem is reported with its place and what to do. */
export function checkProfile(profile: ProfileShape, report: Report): void {
  checkApplication(profile.application, report);
  checkMethod(profile, report);
  checkKeys(profile, report);
  checkUserNumberPlace(profile.userNumber, report);
  checkUserNumberText(profile.userNumber, report);
  checkPin(profile, report);
}
