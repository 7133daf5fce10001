import type { Command } from '#core/apdu/command.ts';
import { fixedApplications } from '#core/card/applications.ts';
import type { ExchangeName } from '#core/card/conformance/bench.ts';
import { type ApduKind, instructionKind } from '#core/card/trace/apdu-kind.ts';
import type { Text } from './language.ts';

const hex = (value: number): string => value.toString(16).toUpperCase().padStart(2, '0');

function text(ja: string, en: string): Text {
  return { ja, en };
}

/** Names of data objects (ISO 7816-4, 5.3.3 and 10.2; GlobalPlatform Card Specification 2.3.1, 11.9.3). */
const objectNames: Readonly<Record<number, Text>> = {
  98: text('FCPテンプレート', 'FCP template'),
  100: text('FMDテンプレート', 'FMD template'),
  111: text('FCIテンプレート', 'FCI template'),
  128: text('ファイルの大きさ', 'file size'),
  131: text('ファイル識別子', 'file identifier'),
  132: text('DF名（AID）', 'DF name (AID)'),
  138: text('ライフサイクル', 'life cycle status'),
  165: text('独自情報', 'proprietary information'),
};

/** Data objects of secure messaging: the same tags mean something else there. */
const protectedNames: Readonly<Record<number, Text>> = {
  129: text('平文データ', 'data in the clear'),
  133: text('暗号文（奇数INS）', 'cryptogram (odd instruction)'),
  135: text('暗号文', 'cryptogram'),
  142: text('MAC', 'MAC'),
  151: text('期待する長さ（Le）', 'expected length (Le)'),
  153: text('ステータス', 'status'),
};

/** What a data object is, in the clear or inside secure messaging. */
export function objectName(tag: number, inProtection: boolean): Text {
  return (inProtection ? protectedNames : objectNames)[tag] ?? text('独自のデータ', 'proprietary data');
}

const fixedNames: Readonly<Record<(typeof fixedApplications)[number]['name'], Text>> = {
  common: text('共通AP', 'common AP'),
  'resident-register': text('住基AP', 'resident register AP'),
  'face-verification': text('券面事項確認AP', 'face verification AP'),
  'face-entry-support': text('券面入力補助AP', 'face entry support AP'),
  'public-certification': text('公的個人認証（JPKI）AP', 'public certification (JPKI) AP'),
  'issuer-security-domain': text('発行者セキュリティドメイン', 'issuer security domain'),
};

/** Name of an application of the card itself; undefined for any other. */
function fixedApplication(aid: string): Text | undefined {
  const known = fixedApplications.find((application) => application.aid === aid);
  return known && fixedNames[known.name];
}

function selectApplication({ p2 }: Command, aid: string): Text {
  const name = fixedApplication(aid);
  const answers: Readonly<Record<number, Text>> = {
    0: text('FCIを求める', 'asks for FCI'),
    4: text('FCPを求める', 'asks for FCP'),
    8: text('FMDを求める', 'asks for FMD'),
    12: text('情報を求めない', 'asks for nothing'),
  };
  const answer = answers[p2 & 0x0c] ?? text('', '');
  return text(
    `アプリケーションの選択（SELECT）: AID ${aid}${name ? `（${name.ja}）` : ''}、${answer.ja}`,
    `SELECT application: AID ${aid}${name ? ` (${name.en})` : ''}, ${answer.en}`,
  );
}

function selectFile({ p1 }: Command, id: string): Text {
  if (id === '')
    return text('SELECT（対象なし。MFの選択を意味することがある）', 'SELECT nothing named (may mean the MF)');
  const under = p1 === 0x02 ? text('現在のDFの下のEF', 'EF under the current DF') : text('ファイル', 'file');
  return text(`ファイルの選択（SELECT）: ${under.ja} ${id}`, `SELECT ${under.en} ${id}`);
}

function readBinary({ p1, p2, expected }: Command): Text {
  const short = (p1 & 0x80) !== 0;
  const offset = short ? p2 : (p1 << 8) | p2;
  const file = short
    ? text(`短縮EF識別子${p1 & 0x1f}`, `short file id ${p1 & 0x1f}`)
    : text('カレントファイル', 'the current file');
  const length = expected ?? 0;
  return text(
    `読取り（READ BINARY）: ${file.ja}の${offset}バイト目から${length}バイトまで`,
    `READ BINARY: ${file.en}, from offset ${offset}, up to ${length} bytes`,
  );
}

function readRecord({ p1, p2 }: Command): Text {
  const short = p2 >> 3;
  const file =
    short === 0
      ? text('カレントファイル', 'the current file')
      : text(`短縮EF識別子${short}`, `short file id ${short}`);
  return text(`レコードの読取り（READ RECORD）: ${file.ja}の${p1}番`, `READ RECORD ${p1} of ${file.en}`);
}

function verify({ p2 }: Command, hasData: boolean): Text {
  const reference = hex(p2);
  return hasData
    ? text(`暗証番号の照合（VERIFY）: 参照${reference}`, `VERIFY the PIN of reference ${reference}`)
    : text(
        `残り回数の問合せ（データのないVERIFY）: 参照${reference}。回数は減らない`,
        `VERIFY without data, reference ${reference}: asks for the tries left and spends none`,
      );
}

/** P1 of EXTERNAL AUTHENTICATE (GlobalPlatform Amendment D, 7.1.2.1) */
const levels: Readonly<Record<number, Text>> = {
  0: text('保護なし', 'no protection'),
  1: text('コマンドMAC', 'C-MAC'),
  3: text('コマンドMACと暗号化', 'C-MAC and C-DECRYPTION'),
  17: text('両方向のMAC', 'C-MAC and R-MAC'),
  19: text('両方向のMACとコマンドの暗号化', 'C-MAC, C-DECRYPTION and R-MAC'),
  51: text('両方向のMACと暗号化', 'C-MAC, C-DECRYPTION, R-MAC and R-ENCRYPTION'),
};

function authenticate({ cla, ins, p1 }: Command): Text {
  if (ins === 0x88) return text('内部認証（INTERNAL AUTHENTICATE）', 'INTERNAL AUTHENTICATE');
  if ((cla & 0x80) === 0) return text('相互認証（MUTUAL AUTHENTICATE）', 'MUTUAL AUTHENTICATE');
  const level = levels[p1] ?? text('未知のレベル', 'unknown level');
  return text(
    `外部認証（EXTERNAL AUTHENTICATE）: レベル${hex(p1)}（${level.ja}）`,
    `EXTERNAL AUTHENTICATE: level ${hex(p1)} (${level.en})`,
  );
}

export interface DescribedCommand {
  readonly command: Command;
  /** whether it carries data, which in a protected command need not be known */
  readonly hasData: boolean;
  /** what a SELECT names, upper-case hexadecimal */
  readonly shownData: string;
}

/** A command in words; of a protected one, what its header says. */
export function commandText({ command, hasData, shownData }: DescribedCommand): Text {
  const { cla, ins, expected } = command;
  if ((cla & 0x80) !== 0 && ins === 0x50) {
    const version = hex(command.p1);
    return text(
      `SCP03の開始（INITIALIZE UPDATE）: 鍵バージョン${version}${command.p1 === 0 ? '（任意）' : ''}`,
      `INITIALIZE UPDATE of SCP03: key version ${version}${command.p1 === 0 ? ' (any)' : ''}`,
    );
  }
  switch (instructionKind(command)) {
    case 'select-application':
      return selectApplication(command, shownData);
    case 'select-file':
      return selectFile(command, shownData);
    case 'read-binary':
      return readBinary(command);
    case 'read-record':
      return readRecord(command);
    case 'verify':
      return verify(command, hasData);
    case 'change-reference-data':
      return text('暗証番号の変更（CHANGE REFERENCE DATA）', 'CHANGE REFERENCE DATA');
    case 'reset-retry-counter':
      return text('暗証番号のロック解除（RESET RETRY COUNTER）', 'RESET RETRY COUNTER');
    case 'get-challenge':
      return text(
        `乱数の要求（GET CHALLENGE）: ${expected ?? '?'}バイト`,
        `GET CHALLENGE: ${expected ?? '?'} bytes`,
      );
    case 'authenticate':
      return authenticate(command);
    case 'get-response':
      return text('続きの要求（GET RESPONSE）', 'GET RESPONSE: fetches the rest');
    case 'get-data':
      return text('データの取得（GET DATA）', 'GET DATA');
    default:
      return text(`命令${hex(ins)}`, `instruction ${hex(ins)}`);
  }
}

const kindNames: Readonly<Record<ApduKind, string>> = {
  'select-application': 'アプリケーションの選択',
  'select-file': 'ファイルの選択',
  'read-binary': '読取り',
  'read-record': 'レコードの読取り',
  verify: '暗証番号の照合・残り回数',
  'change-reference-data': '暗証番号の変更',
  'reset-retry-counter': '暗証番号のロック解除',
  'get-challenge': '乱数の要求',
  authenticate: '認証',
  'initialize-update': 'SCP03の開始',
  'get-response': '続きの要求',
  'get-data': 'データの取得',
  'protected-iso': '保護されたコマンド（ISO 7816-4）',
  'protected-gp': '保護されたコマンド（GlobalPlatform）',
  other: 'その他',
};

/** A kind of exchange in a table of their times. */
export function exchangeText(name: ExchangeName): Text {
  const [kind, isProtected] = name.split(', ') as [ApduKind, string | undefined];
  return text(isProtected ? `${kindNames[kind]}（保護）` : kindNames[kind], name);
}

/** How a command is protected, from its class byte; undefined for one in the clear. */
export function protectionText(cla: number): Text | undefined {
  if ((cla & 0x80) === 0 && (cla & 0x4c) === 0x0c) {
    return text('セキュアメッセージング（ISO 7816-4）', 'secure messaging (ISO 7816-4)');
  }
  return (cla & 0x44) === 0x04
    ? text('セキュアメッセージング（GlobalPlatform）', 'secure messaging (GlobalPlatform)')
    : undefined;
}
