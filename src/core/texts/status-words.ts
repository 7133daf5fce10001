import type { Text } from './language.ts';

/** Status words of ISO 7816-4, 5.6 and GlobalPlatform Card Specification 2.3.1, 11.1.3, as cards for our uses give them. */
const exact: Readonly<Record<number, Text>> = {
  36864: { ja: '正常終了', en: 'success' },
  25088: { ja: '警告', en: 'warning' },
  25217: { ja: '返されたデータが壊れている可能性がある', en: 'data returned may be corrupted' },
  25218: { ja: 'ファイルの終端に達した', en: 'end of file reached' },
  25219: { ja: 'アプリケーションが停止されている', en: 'application deactivated' },
  25221: { ja: 'ファイルが終了状態', en: 'file in termination state' },
  25344: { ja: '認証に失敗（残り回数は示されない）', en: 'authentication failed' },
  25600: { ja: '実行エラー（カードの状態は不変）', en: 'execution error, nothing changed' },
  25985: { ja: 'メモリの書込みに失敗', en: 'memory failure' },
  26368: { ja: '長さが不正', en: 'wrong length' },
  26753: { ja: '論理チャネルは使えない', en: 'logical channel not supported' },
  26754: { ja: 'セキュアメッセージングは使えない', en: 'secure messaging not supported' },
  26755: { ja: 'チェイニングの最後のコマンドがない', en: 'last command of the chain expected' },
  26756: { ja: 'チェイニングは使えない', en: 'command chaining not supported' },
  27009: { ja: 'ファイルの構造が異なる', en: 'command incompatible with the file structure' },
  27010: { ja: 'セキュリティ条件を満たしていない', en: 'security status not satisfied' },
  27011: { ja: '認証・暗証番号がロックされている', en: 'PIN blocked' },
  27012: { ja: '鍵または暗証番号が使えない', en: 'key or PIN not usable' },
  27013: { ja: '使用条件を満たしていない', en: 'conditions of use not satisfied' },
  27014: { ja: 'カレントファイルがない', en: 'no current file' },
  27015: { ja: 'セキュアメッセージングのデータがない', en: 'secure messaging expected' },
  27016: { ja: 'セキュアメッセージングのデータが不正', en: 'secure messaging incorrect' },
  27033: { ja: 'アプリケーションの選択に失敗', en: 'application selection failed' },
  27264: { ja: 'データの内容が不正', en: 'wrong data' },
  27265: { ja: '機能がない', en: 'function not supported' },
  27266: { ja: 'ファイルまたはアプリケーションがない', en: 'file or application not found' },
  27267: { ja: 'レコードがない', en: 'record not found' },
  27268: { ja: '空き容量が足りない', en: 'not enough memory' },
  27270: { ja: 'P1・P2が不正', en: 'wrong parameters' },
  27272: { ja: '鍵または暗証番号がない', en: 'key or PIN not found' },
  27392: { ja: 'ファイルの範囲外', en: 'beyond the end of the file' },
  27904: { ja: '命令（INS）がない', en: 'instruction not supported' },
  28160: { ja: 'クラス（CLA）がない', en: 'class not supported' },
  28416: { ja: '原因の示されないエラー', en: 'error without a diagnosis' },
};

/** What a status word means; undefined where no standard we use says. */
export function statusText(status: number): Text | undefined {
  const low = status & 0xff;
  if (status >> 8 === 0x61) {
    return { ja: `正常終了（残り${low || 256}バイト）`, en: `success, ${low || 256} more bytes available` };
  }
  if (status >> 8 === 0x6c)
    return { ja: `Leが不正（正しくは${low || 256}）`, en: `wrong Le, right is ${low || 256}` };
  if ((status & 0xfff0) === 0x63c0) {
    const left = low & 0x0f;
    return { ja: `残り${left}回`, en: `${left} ${left === 1 ? 'try' : 'tries'} left` };
  }
  return exact[status];
}

/** A status word with its meaning, for a table or a report. */
export function statusLabel(status: number): Text {
  const digits = status.toString(16).toUpperCase().padStart(4, '0');
  const meaning = statusText(status);
  return meaning
    ? { ja: `${digits}（${meaning.ja}）`, en: `${digits} (${meaning.en})` }
    : { ja: digits, en: digits };
}
