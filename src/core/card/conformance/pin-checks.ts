import { type Response, triesLeftOf } from '#core/apdu/response.ts';
import { blockedStatuses } from '#core/card/pin.ts';
import type { PinFormat } from '#core/card/pin-format.ts';
import { isFault } from '#core/fault.ts';
import type { Text } from '#core/texts/language.ts';
import { statusLabel } from '#core/texts/status-words.ts';
import type { CardBench } from './bench.ts';
import { type Check, fails, holds, noted, notTried, type Result } from './finding.ts';
import { opened } from './reading-checks.ts';

const noPin = () => notTried('暗証番号のないプロファイル', 'the profile has no PIN');
/** VERIFY without data: it asks for the tries left and spends none (ISO 7816-4, 7.5.6) */
const askTries = (reference: number) => ({ cla: 0x00, ins: 0x20, p1: 0x00, p2: reference });

/** The answer to the question; cards may leave the channel to say that a PIN is blocked, which ends the session. */
async function triesStatus(bench: CardBench, ask: () => Promise<Response>): Promise<number> {
  try {
    return (await ask()).status;
  } catch (error) {
    const bare = isFault(error, 'card-answer-status') ? bench.lastStatus : undefined;
    if (bare !== undefined && blockedStatuses.has(bare)) return bare;
    throw error;
  }
}

function counter(bench: CardBench): Promise<Result> {
  const { pin } = bench.profile;
  if (!pin) return Promise.resolve(noPin());
  return opened(bench, async (send) => {
    const first = await triesStatus(bench, () => send(askTries(pin.reference)));
    if (blockedStatuses.has(first)) return noted('暗証番号はロックされている', 'the PIN is blocked');
    const second = (await send(askTries(pin.reference))).status;
    const left = triesLeftOf(first);
    if (left === undefined) {
      const words = statusLabel(first);
      return fails(
        `残り回数を答えない: ${words.ja}。端末は暗証番号を照合できない`,
        `it does not tell the tries left: ${words.en}; the terminal will send no PIN`,
      );
    }
    if (second !== first) {
      return fails('問い合わせただけで残り回数が変わった', 'asking alone has changed the tries left');
    }
    return left < pin.minimumTriesLeft
      ? noted(
          `残り${left}回。プロファイルの下限${pin.minimumTriesLeft}回未満`,
          `${left} left, fewer than the ${pin.minimumTriesLeft} of the profile`,
        )
      : holds(`残り${left}回。問い合わせでは減らない`, `${left} left, and asking spends none`);
  });
}

/** Nothing shows it but a try, and none is spent: what the terminal would send is said, and stays unproven. */
async function format({ profile: { pin } }: CardBench): Promise<Result> {
  if (!pin) return noPin();
  const { encoding, padding, length } = pin;
  const words = encodings[encoding];
  const filled = {
    ja: `、${padding}で${length}バイトまで埋める`,
    en: `, filled with ${padding} to ${length} bytes`,
  };
  const [ja, en] = length === undefined ? [words.ja, words.en] : [words.ja + filled.ja, words.en + filled.en];
  return notTried(`端末の送る形式: ${ja}（照合せず）`, `the terminal sends ${en}; no PIN is sent here`);
}

const encodings: Readonly<Record<PinFormat['encoding'], Text>> = {
  ascii: { ja: 'ASCIIの数字', en: 'ASCII digits' },
  bcd: { ja: 'BCD', en: 'BCD' },
  'iso-9564-2': { ja: 'ISO 9564-1 フォーマット2', en: 'ISO 9564-1 format 2' },
};

async function counterInTheClear(bench: CardBench): Promise<Result> {
  const { pin } = bench.profile;
  if (!pin) return noPin();
  await bench.select();
  const { status } = await bench.plain(askTries(pin.reference));
  const words = statusLabel(status);
  return noted(`認証前の応答: ${words.ja}`, `before authentication it answers ${words.en}`);
}

export const pinChecks: readonly Check<CardBench>[] = [
  { id: 'pin-counter', title: { ja: '暗証番号の残り回数', en: 'PIN tries left' }, run: counter },
  {
    id: 'pin-counter-unprotected',
    title: { ja: '認証前の残り回数', en: 'PIN tries left, unprotected' },
    run: counterInTheClear,
  },
  { id: 'pin-format', title: { ja: '暗証番号の形式', en: 'PIN format' }, run: format },
];
