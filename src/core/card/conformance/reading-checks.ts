import { type Command, parseCommand } from '#core/apdu/command.ts';
import { isSuccessOrWarning, statusWords } from '#core/apdu/response.ts';
import { copyOf, fromHex } from '#core/bytes/bytes.ts';
import type { ChannelResponse, SecureChannel } from '#core/card/channel/secure-channel.ts';
import type { CardProfile } from '#core/card/profile.ts';
import { readUserNumber } from '#core/card/user-number-file.ts';
import { isFault } from '#core/fault.ts';
import type { Text } from '#core/texts/language.ts';
import { statusLabel } from '#core/texts/status-words.ts';
import { noChannel, whyNotOpened } from './authentication-checks.ts';
import type { CardBench } from './bench.ts';
import { type Check, fails, holds, noted, notTried, type Result } from './finding.ts';

/** Sends a command where the user number is read: inside the channel, or in the clear where there is none. */
type Send = (command: Command) => Promise<ChannelResponse>;

/** Runs `action` with the card AP selected and, where the profile has a channel, authenticated. */
export async function opened(
  bench: CardBench,
  action: (send: Send, channel: SecureChannel | undefined) => Promise<Result>,
): Promise<Result> {
  if (!bench.profile.channel) {
    await bench.select();
    return action(
      async (command) => ({
        ...(await bench.plain(command)),
        authentic: false,
        encrypted: false,
      }),
      undefined,
    );
  }
  const why = whyNotOpened(bench);
  if (why) return why;
  const { channel } = await bench.open();
  try {
    return await action((command) => bench.inside(channel, command), channel);
  } finally {
    channel.close();
  }
}

interface Place {
  /** selects the file; absent where the read names it */
  readonly select: readonly Command[];
  /** reads the first bytes of the user number, or its record */
  readonly read: Command;
}

/** How the user number is reached, to be probed; a terminal reads it by `readUserNumber`. */
function placeOf({ userNumber: { file, offset } }: CardProfile): Place {
  const { fileId, shortFileId = 0, record } = file;
  const select =
    fileId === undefined ? [] : [{ cla: 0, ins: 0xa4, p1: 0x02, p2: 0x0c, data: fromHex(fileId) }];
  if (record !== undefined) {
    return { select, read: { cla: 0, ins: 0xb2, p1: record, p2: (shortFileId << 3) | 0x04, expected: 256 } };
  }
  // even, so that the byte behind it has the same P1
  const start = offset & 0x7ffe;
  const p1 = fileId === undefined ? 0x80 | shortFileId : start >> 8;
  return { select, read: { cla: 0, ins: 0xb0, p1, p2: start & 0xff, expected: 2 } };
}

/** The command that reads there, after any that select the file have been sent. */
async function atFile({ profile }: CardBench, send: Send): Promise<Command> {
  const { select, read } = placeOf(profile);
  for (const command of select) await send(command);
  return read;
}

function userNumber(bench: CardBench): Promise<Result> {
  return opened(bench, async (send) => {
    const {
      userNumber: text,
      encrypted,
      authentic,
    } = await readUserNumber(bench.profile, (command) => send(command));
    const length = text.length;
    const how = encrypted
      ? { ja: '暗号化', en: 'encrypted' }
      : authentic
        ? { ja: '平文とMAC', en: 'in the clear, with a MAC' }
        : { ja: '平文', en: 'in the clear' };
    return holds(
      `${length}文字。形式はプロファイルのとおり。${how.ja}`,
      `${length} characters in the format of the profile, ${how.en}`,
    );
  });
}

/** The promise of a profile that authenticates: without it nobody reads the number. */
async function unauthenticated(bench: CardBench): Promise<Result> {
  if (!bench.profile.channel) return noChannel();
  await bench.select();
  return refusedUnprotected(bench, { ja: '認証なしで', en: 'without authentication' });
}

async function refusedUnprotected(bench: CardBench, how: Text): Promise<Result> {
  const { select, read } = placeOf(bench.profile);
  for (const command of select) await bench.plain(command);
  const { data, status } = await bench.plain(read);
  const given = data.length;
  data.fill(0);
  const words = statusLabel(status);
  return isSuccessOrWarning(status) && given > 0
    ? fails(`${how.ja}読める`, `it can be read ${how.en}`)
    : holds(`${how.ja}は読めない: ${words.ja}`, `it cannot be read ${how.en}: ${words.en}`);
}

/** In the session, but past it: a reader that leaves protection out must get nothing either. */
function plainInSession(bench: CardBench): Promise<Result> {
  return inChannel(bench, () =>
    refusedUnprotected(bench, { ja: '認証後に保護なしで', en: 'without protection after authentication' }),
  );
}

function oneByte(bench: CardBench): Promise<Result> {
  const { file } = bench.profile.userNumber;
  if (file.record !== undefined) return Promise.resolve(notTried('レコードファイル', 'it is a record file'));
  return opened(bench, async (send) => {
    const command = await atFile(bench, send);
    const whole = await send(command);
    const second = await send({ ...command, p2: command.p2 + 1, expected: 1 });
    const right = second.data.length === 1 && second.data[0] === whole.data[1];
    const words = statusLabel(second.status);
    whole.data.fill(0);
    second.data.fill(0);
    return right
      ? holds('位置と長さの指定どおり', 'offset and length are followed')
      : fails(`位置と長さの指定に従わない: ${words.ja}`, `offset and length are not followed: ${words.en}`);
  });
}

function pastEnd(bench: CardBench): Promise<Result> {
  const { file } = bench.profile.userNumber;
  return opened(bench, async (send) => {
    const command = await atFile(bench, send);
    const record = file.record !== undefined;
    // the short form of READ BINARY reaches 255 bytes into the file; a record number beyond any that is used
    const beyond = record
      ? { ...command, p1: 0xfe }
      : { ...command, p1: (command.p1 & 0x80) === 0 ? 0x7f : command.p1, p2: 0xff, expected: 1 };
    return bareOrProtected(
      bench,
      () => send(beyond),
      ({ status, data }) =>
        isSuccessOrWarning(status) && data.length > 0
          ? noted('そこにもデータがある', 'there is data there too')
          : holds(`拒否された: ${statusLabel(status).ja}`, `refused: ${statusLabel(status).en}`),
    );
  });
}

function missingFile(bench: CardBench): Promise<Result> {
  if (bench.profile.userNumber.file.shortFileId === 30)
    return Promise.resolve(notTried('識別子30を使うため', 'it is file 30'));
  return opened(bench, (send) =>
    bareOrProtected(
      bench,
      () => send({ cla: 0, ins: 0xb0, p1: 0x9e, p2: 0, expected: 1 }),
      ({ status }) =>
        status === statusWords.success
          ? fails('存在しないファイルに9000を返した', '9000 to a file that is not there')
          : holds(`拒否された: ${statusLabel(status).ja}`, `refused: ${statusLabel(status).en}`),
    ),
  );
}

/** An error in a session comes protected, or bare, which ends the session: both are of the standard. */
async function bareOrProtected(
  bench: CardBench,
  send: () => Promise<ChannelResponse>,
  judge: (read: ChannelResponse) => Result,
): Promise<Result> {
  try {
    return judge(await send());
  } catch (error) {
    if (!isFault(error, 'card-answer-status')) throw error;
    return holds(
      `保護されないエラーで応答し、通信が終わる: ${statusLabel(bench.lastStatus ?? 0).ja}`,
      `an error outside protection, which ends the session (${error.message})`,
    );
  }
}

/** Inverts one bit of the MAC, which ends the data field. */
function flipMac(apdu: Uint8Array): Uint8Array {
  const changed = copyOf(apdu);
  const data = parseCommand(changed)?.data;
  if (!data) throw new Error('a protected command has a MAC');
  data[data.length - 1] = (data.at(-1) ?? 0) ^ 0x01;
  return changed;
}

function wrongMac(bench: CardBench): Promise<Result> {
  return inChannel(bench, async (send, channel) => {
    const [changed, genuine] = await bench.twice(channel, await atFile(bench, send), flipMac);
    const words = statusLabel(changed.status);
    if (isSuccessOrWarning(changed.status)) {
      return fails('誤ったMACのコマンドを受け入れた', 'it took a command with a wrong MAC');
    }
    return isSuccessOrWarning(genuine.status)
      ? noted(
          `拒否した（${words.ja}）が、通信は続けられる`,
          `refused (${words.en}), but the session goes on after it`,
        )
      : holds(`拒否し、通信を終えた: ${words.ja}`, `refused, and the session ended: ${words.en}`);
  });
}

function replay(bench: CardBench): Promise<Result> {
  return inChannel(bench, async (send, channel) => {
    const [first, second] = await bench.twice(channel, await atFile(bench, send), (apdu) => apdu);
    if (!isSuccessOrWarning(first.status)) {
      const words = statusLabel(first.status);
      return fails(`最初の読取りから拒否された: ${words.ja}`, `even the first read was refused: ${words.en}`);
    }
    const words = statusLabel(second.status);
    return isSuccessOrWarning(second.status)
      ? fails('同じコマンドをもう一度受け入れた', 'it took the same command again')
      : holds(`再送は拒否された: ${words.ja}`, `the replay was refused: ${words.en}`);
  });
}

function inChannel(
  bench: CardBench,
  action: (send: Send, channel: SecureChannel) => Promise<Result>,
): Promise<Result> {
  return opened(bench, async (send, channel) => (channel ? action(send, channel) : noChannel()));
}

export const readingChecks: readonly Check<CardBench>[] = [
  { id: 'read', title: { ja: '利用者番号の読取り', en: 'Reading the user number' }, run: userNumber },
  {
    id: 'read-unauthenticated',
    title: { ja: '認証なしの読取り', en: 'Reading without authentication' },
    run: unauthenticated,
  },
  {
    id: 'read-unprotected',
    title: { ja: '認証後の保護なしの読取り', en: 'Reading in the clear after authentication' },
    run: plainInSession,
  },
  {
    id: 'read-offset',
    title: { ja: '位置と長さを指定した読取り', en: 'Reading by offset and length' },
    run: oneByte,
  },
  { id: 'read-past-end', title: { ja: '終端を越えた読取り', en: 'Reading past the end' }, run: pastEnd },
  {
    id: 'read-missing-file',
    title: { ja: '存在しないファイルの読取り', en: 'Reading a file that is not there' },
    run: missingFile,
  },
  {
    id: 'protection-mac',
    title: { ja: 'MACの誤ったコマンド', en: 'A command with a wrong MAC' },
    run: wrongMac,
  },
  {
    id: 'protection-replay',
    title: { ja: '保護されたコマンドの再送', en: 'A protected command sent again' },
    run: replay,
  },
];
