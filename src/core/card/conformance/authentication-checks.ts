import { parseCommand } from '#core/apdu/command.ts';
import { statusWords } from '#core/apdu/response.ts';
import { copyOf, equalConstantTime } from '#core/bytes/bytes.ts';
import { isFault } from '#core/fault.ts';
import { statusLabel } from '#core/texts/status-words.ts';
import type { CardBench } from './bench.ts';
import { type Check, fails, holds, notTried, type Result } from './finding.ts';

export const noChannel = () => notTried('認証のないプロファイル', 'the profile has no authentication');
const noKeys = () => notTried('鍵がない（--keys）', 'no keys were given (--keys)');

/** Why nothing behind the authentication can be tried; undefined where it can. */
export function whyNotOpened(bench: CardBench): Result | undefined {
  if (!bench.profile.channel) return noChannel();
  return bench.hasKeys ? undefined : noKeys();
}

async function challenges(bench: CardBench): Promise<Result> {
  if (!bench.profile.channel) return noChannel();
  if (bench.profile.channel.mechanism === 'scp03') {
    return notTried('SCP03の乱数は認証の中で検査される', 'SCP03 carries its challenge in the authentication');
  }
  const seen: Uint8Array[] = [];
  for (let round = 0; round < 4; round += 1) {
    // the same state of a card with a poor generator: before the second and the fourth it is reset
    if (round % 2 === 1) await bench.reset();
    await bench.select();
    const answer = await bench.plain({ cla: 0, ins: 0x84, p1: 0, p2: 0, expected: 8 });
    if (answer.status !== statusWords.success || answer.data.length !== 8) {
      const words = statusLabel(answer.status);
      return fails(`8バイトの乱数を返さない: ${words.ja}`, `it gives no challenge of 8 bytes: ${words.en}`);
    }
    if (seen.some((before) => equalConstantTime(before, answer.data))) {
      return fails(
        '同じ乱数を二度返した。再送攻撃を防げない',
        'it gave the same challenge twice: replays would pass',
      );
    }
    seen.push(answer.data);
  }
  return holds(
    '8バイト。4回とも異なる（リセットを挟んでも）',
    '8 bytes, four different ones, across resets too',
  );
}

async function rightKeys(bench: CardBench): Promise<Result> {
  const why = whyNotOpened(bench);
  if (why) return why;
  const { channel, keyVersion } = await bench.open();
  channel.close();
  return holds(
    `双方が相手を確認した（鍵バージョン${keyVersion}）`,
    `each side has proven itself to the other, by keys of version ${keyVersion}`,
  );
}

/** What wrong keys make of our cryptogram, as far as a card can tell: one bit inverted is as wrong as all. */
function asByWrongKeys(apdu: Uint8Array): Uint8Array {
  const changed = copyOf(apdu);
  const data = parseCommand(changed)?.data;
  if (!data) throw new Error('an authentication command has a cryptogram');
  data[0] = (data[0] ?? 0) ^ 0x10;
  return changed;
}

async function wrongKeys(bench: CardBench): Promise<Result> {
  const why = whyNotOpened(bench);
  if (why) return why;
  if (!bench.wrongKeys) {
    return notTried(
      '失敗回数を数えて恒久的にロックするカードがあるため、--wrong-keysを付けたときだけ試す',
      'some cards count failures and lock for good; tried with --wrong-keys alone',
    );
  }
  const accepted = () => fails('誤った鍵を受け入れた', 'it accepted wrong keys');
  try {
    (await bench.open(asByWrongKeys)).channel.close();
    return accepted();
  } catch (error) {
    if (!isFault(error, 'card-authentication-failed')) throw error;
    if (bench.lastStatus === statusWords.success) return accepted();
    const words = statusLabel(bench.lastStatus ?? 0);
    await bench.reset();
    (await bench.open()).channel.close();
    return holds(
      `拒否され（${words.ja}）、その後も正しい鍵が使える`,
      `refused (${words.en}), and the right keys still work`,
    );
  }
}

export const authenticationChecks: readonly Check<CardBench>[] = [
  { id: 'challenge', title: { ja: 'カードの乱数', en: 'Challenge' }, run: challenges },
  {
    id: 'authentication',
    title: { ja: '正しい鍵での認証', en: 'Authentication with the right keys' },
    run: rightKeys,
  },
  {
    id: 'authentication-wrong-keys',
    title: { ja: '誤った鍵での認証', en: 'Authentication with wrong keys' },
    run: wrongKeys,
  },
];
