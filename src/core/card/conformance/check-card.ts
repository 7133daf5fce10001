import { CardSession } from '#core/card/session.ts';
import { authenticationChecks } from './authentication-checks.ts';
import { type BenchParts, CardBench } from './bench.ts';
import { type Check, type Finding, fails, holds, notTried, outcomeOf, type Result } from './finding.ts';
import { pinChecks } from './pin-checks.ts';
import { readingChecks } from './reading-checks.ts';
import { selectionChecks } from './selection-checks.ts';

/** Times of one kind of command over the whole walk, in microseconds. */
export interface CommandTimes {
  readonly command: string;
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
      const why =
        outcome.kind === 'refused' ? `${outcome.fault.code}: ${outcome.fault.message}` : outcome.kind;
      return fails(`読み取れない: ${why}`, `no reading: ${why}`);
    }
    const { assurance, timings } = outcome.reading;
    const us = timings.selectUs + timings.authenticateUs + timings.readUs;
    const shown = assurance.length > 0 ? assurance.join(', ') : 'none';
    return holds(
      `${timings.exchanges}回の交換、${(us / 1000).toFixed(1)} ms、認証強度: ${shown}`,
      `${timings.exchanges} exchanges, ${(us / 1000).toFixed(1)} ms, assurance: ${shown}`,
    );
  } finally {
    session.close();
  }
}

function timesOf([command, times]: readonly [string, readonly number[]]): CommandTimes {
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
    const { verdict, detail } = await outcomeOf(async () => {
      await parts.card.reset();
      return run(bench);
    });
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
