import { statusWords } from '#core/apdu/response.ts';
import { equalConstantTime, fromHex, toHex } from '#core/bytes/bytes.ts';
import { findTlv } from '#core/bytes/tlv.ts';
import { parseSelectAnswer } from '#core/card/card-application.ts';
import { isFault } from '#core/fault.ts';
import { statusLabel } from '#core/texts/status-words.ts';
import type { CardBench } from './bench.ts';
import { type Check, fails, holds, noted, notTried, type Result } from './finding.ts';

function selectBy(aid: Uint8Array, p2: number) {
  const command = { cla: 0x00, ins: 0xa4, p1: 0x04, p2, data: aid };
  return p2 === 0x0c ? command : { ...command, expected: 256 };
}

/** The AID that an answer to SELECT names; undefined where it names none. */
function namedAid(data: Uint8Array): Uint8Array | undefined {
  try {
    return findTlv(data, [0x6f, 0x84]);
  } catch (error) {
    if (isFault(error)) return undefined;
    throw error;
  }
}

async function wholeAid(bench: CardBench): Promise<Result> {
  await bench.select();
  const { answer } = bench.profile.application;
  return answer === 'fci'
    ? holds('FCIのAIDがプロファイルと一致', 'selected; the AID in the FCI is the one of the profile')
    : holds('選択できた（FCIは求めていない）', 'selected; no FCI was asked for');
}

async function withoutAnswer(bench: CardBench): Promise<Result> {
  const { data, status } = await bench.plain(selectBy(fromHex(bench.profile.application.aid), 0x0c));
  const words = statusLabel(status);
  if (status !== statusWords.success)
    return noted(`P2 0Cでは選択できない: ${words.ja}`, `P2 0C does not select: ${words.en}`);
  return data.length === 0
    ? holds('データなしで選択できた', 'selected, with no data')
    : noted(
        `求めていないデータを${data.length}バイト返した`,
        `it returned ${data.length} bytes nobody asked for`,
      );
}

async function partialAid(bench: CardBench): Promise<Result> {
  const whole = fromHex(bench.profile.application.aid);
  const { data, status } = await bench.plain(selectBy(whole.subarray(0, -1), 0x00));
  if (status !== statusWords.success) {
    return noted(
      `短縮したAIDでは選択されない: ${statusLabel(status).ja}`,
      `a shortened AID selects nothing: ${statusLabel(status).en}`,
    );
  }
  const aid = namedAid(data);
  if (aid && !equalConstantTime(aid, whole)) {
    return noted(
      `短縮したAIDでは別のアプリケーション（${toHex(aid)}）が選択される。端末は常に全体を送る`,
      `a shortened AID selects another application (${toHex(aid)}); the terminal always sends the whole`,
    );
  }
  return noted(
    '短縮したAIDでも選択される。端末は常に全体を送る',
    'a shortened AID selects too; the terminal always sends the whole',
  );
}

/** An AID that nobody has: that of the profile with its last byte inverted. */
async function unknownAid(bench: CardBench): Promise<Result> {
  const aid = fromHex(bench.profile.application.aid);
  aid[aid.length - 1] = (aid.at(-1) ?? 0) ^ 0xff;
  const answer = await bench.plain(selectBy(aid, bench.profile.application.answer === 'fci' ? 0x00 : 0x0c));
  if (answer.status === statusWords.success) {
    return fails(
      '存在しないAIDに9000を返した。カードAPの有無を判別できない',
      '9000 to an AID that nobody has: whether the card AP is there cannot be told',
    );
  }
  const words = statusLabel(answer.status);
  try {
    parseSelectAnswer(bench.profile, answer);
    return holds(`拒否された: ${words.ja}`, `refused: ${words.en}`);
  } catch (error) {
    if (!isFault(error)) throw error;
    return fails(
      `${words.ja}を「カードAPなし」と解釈できない。他団体のカードが障害として扱われる`,
      `${words.en} does not read as "no such card AP": cards of others would count as faulty`,
    );
  }
}

async function controlParameters(bench: CardBench): Promise<Result> {
  const { data, status } = await bench.plain(selectBy(fromHex(bench.profile.application.aid), 0x04));
  const words = statusLabel(status);
  return noted(
    `P2 04（FCP）: ${words.ja}、${data.length}バイト`,
    `P2 04 (FCP): ${words.en}, ${data.length} bytes`,
  );
}

async function nothingNamed(bench: CardBench): Promise<Result> {
  const { status } = await bench.plain({ cla: 0x00, ins: 0xa4, p1: 0x00, p2: 0x00 });
  const words = statusLabel(status);
  return noted(`${words.ja}。選択の根拠にはしない`, `${words.en}; it is never taken for a selection`);
}

async function keyVersion(bench: CardBench): Promise<Result> {
  const { keys } = bench.profile;
  if (!keys?.versionAt)
    return notTried('選択の応答では示されない', 'it does not stand in the answer to SELECT');
  const { keyVersion: version = 0 } = await bench.select();
  return keys.versions.includes(version)
    ? holds(`鍵バージョン${version}`, `key version ${version}`)
    : fails(
        `鍵バージョン${version}はプロファイルにない`,
        `key version ${version} is not listed in the profile`,
      );
}

async function diversifier(bench: CardBench): Promise<Result> {
  if (!bench.profile.keys?.diversifier)
    return notTried('鍵導出用データのないプロファイル', 'the profile has no diversifier');
  const { diversifier: first = new Uint8Array() } = await bench.select();
  await bench.reset();
  const { diversifier: second = new Uint8Array() } = await bench.select();
  return equalConstantTime(first, second)
    ? holds(`${first.length}バイト。リセット後も同じ`, `${first.length} bytes, and the same after a reset`)
    : fails(
        '選択のたびに変わる。鍵を導出できない',
        'it changes from one selection to the next: no keys can be derived from it',
      );
}

export const selectionChecks: readonly Check<CardBench>[] = [
  {
    id: 'select-whole-aid',
    title: { ja: 'AID全体での選択', en: 'Selection by the whole AID' },
    run: wholeAid,
  },
  {
    id: 'select-without-answer',
    title: { ja: 'FCIを求めない選択', en: 'Selection asking for nothing' },
    run: withoutAnswer,
  },
  {
    id: 'select-fcp',
    title: { ja: 'FCPを求める選択', en: 'Selection asking for FCP' },
    run: controlParameters,
  },
  {
    id: 'select-partial-aid',
    title: { ja: '短縮したAIDでの選択', en: 'Selection by a shortened AID' },
    run: partialAid,
  },
  {
    id: 'select-unknown-aid',
    title: { ja: '存在しないAIDの選択', en: 'Selection of an unknown AID' },
    run: unknownAid,
  },
  {
    id: 'select-nothing',
    title: { ja: '対象のないSELECT', en: 'SELECT that names nothing' },
    run: nothingNamed,
  },
  { id: 'key-version', title: { ja: '鍵バージョン', en: 'Key version' }, run: keyVersion },
  { id: 'diversifier', title: { ja: '鍵導出用データ', en: 'Diversifier' }, run: diversifier },
];
