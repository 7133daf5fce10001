import type { AssuranceProperty, CardOutcome } from '#core/card/reading.ts';
import { CardSession } from '#core/card/session.ts';
import type { Text } from '#core/texts/language.ts';
import { authenticationChecks } from './authentication-checks.ts';
import { type BenchParts, CardBench, type ExchangeName } from './bench.ts';
import {
  type Check,
  type Finding,
  fails,
  faultText,
  holds,
  notTried,
  outcomeOf,
  type Result,
} from './finding.ts';
import { pinChecks } from './pin-checks.ts';
import { readingChecks } from './reading-checks.ts';
import { selectionChecks } from './selection-checks.ts';

/** Times of one kind of command over the whole walk, in microseconds. */
export interface CommandTimes {
  readonly command: ExchangeName;
  readonly count: number;
  readonly minimumUs: number;
  readonly medianUs: number;
  readonly maximumUs: number;
}

export interface ConformanceReport {
  readonly findings: readonly Finding[];
  readonly timings: readonly CommandTimes[];
  /** no check failed, and the terminal's own reading succeeded */
  readonly conforms: boolean;
}

const unread: Readonly<Record<Exclude<CardOutcome['kind'], 'reading' | 'refused'>, Text>> = {
  'unknown-card': { ja: 'カードAPがない', en: 'unknown-card' },
  removed: { ja: 'カードが離れた', en: 'removed' },
  timeout: { ja: '応答がない', en: 'timeout' },
  'too-slow': { ja: '制限時間を超えた', en: 'too-slow' },
};

const assuranceNames: Readonly<Record<AssuranceProperty, string>> = {
  'mutual-authentication': '相互認証',
  'message-authentication': 'メッセージ認証',
  encryption: '暗号化',
  pin: '暗証番号',
};

/** The terminal's own way, last: what a tap would do with this card. */
async function wholeReading(bench: CardBench, parts: BenchParts): Promise<Result> {
  if (parts.profile.channel && !parts.cardKeys)
    return notTried('鍵がない（--keys）', 'no keys were given (--keys)');
  const session = new CardSession({
    transmit: parts.card.transmit,
    profiles: [bench.profile],
    cardKeys:
      parts.cardKeys ?? (() => Promise.reject(new Error('a profile without a channel asks for no keys'))),
    randomBytes: parts.randomBytes,
    monotonicUs: parts.monotonicUs,
    presentedAtUs: parts.monotonicUs(),
  });
  try {
    const outcome = await session.read();
    if (outcome.kind !== 'reading') {
      const why = outcome.kind === 'refused' ? faultText(outcome.fault, undefined) : unread[outcome.kind];
      return fails(`読み取れない: ${why.ja}`, `no reading: ${why.en}`);
    }
    const { assurance, timings } = outcome.reading;
    const us = timings.selectUs + timings.authenticateUs + timings.readUs;
    const names = assurance.map((property) => assuranceNames[property]);
    return holds(
      `${timings.exchanges}回の交換、${(us / 1000).toFixed(1)} ms、認証強度: ${names.join('、') || 'なし'}`,
      `${timings.exchanges} exchanges, ${(us / 1000).toFixed(1)} ms, assurance: ${assurance.join(', ') || 'none'}`,
    );
  } finally {
    session.close();
  }
}

function timesOf([command, times]: readonly [ExchangeName, readonly number[]]): CommandTimes {
  const sorted = [...times].sort((a, b) => a - b);
  return {
    command,
    count: sorted.length,
    minimumUs: sorted[0] ?? 0,
    medianUs: sorted[Math.floor(sorted.length / 2)] ?? 0,
    maximumUs: sorted.at(-1) ?? 0,
  };
}

/**
 * Walks through a card profile with a card in the reader. Spends no PIN try and changes nothing on the card; wrong
 * keys are shown to it where `wrongKeys` says so alone. `told` gets each finding as it comes. Rejects with faults of
 * the reader and `card-removed`; everything else that a card does is a finding.
 */
export async function checkCard(
  parts: BenchParts,
  told: (finding: Finding) => void = () => undefined,
): Promise<ConformanceReport> {
  const bench = new CardBench(parts);
  const reading: Check<CardBench> = {
    id: 'whole-reading',
    title: { ja: '端末としての読取り全体', en: 'The whole reading, as a terminal does it' },
    run: (own) => wholeReading(own, parts),
  };
  const checks = [...selectionChecks, ...authenticationChecks, ...readingChecks, ...pinChecks, reading];
  const findings: Finding[] = [];
  for (const { id, title, run } of checks) {
    const { verdict, detail } = await outcomeOf(
      async () => {
        await parts.card.reset();
        return run(bench);
      },
      () => bench.lastStatus,
    );
    const finding = { id, title, verdict, detail };
    findings.push(finding);
    told(finding);
  }
  return {
    findings,
    timings: [...bench.timings].map(timesOf),
    conforms: findings.every(({ verdict }) => verdict !== 'fails'),
  };
}
