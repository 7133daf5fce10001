import type { Command } from 'commander';
import { JournalReader } from '#adapters/sqlite/journal-reader.ts';
import type { PolicyReader } from '#adapters/sqlite/policy-reader.ts';
import { type Decision, denialReasons } from '#core/access/decision.ts';
import type { Unused } from '#core/access/fact-kinds.ts';
import { forgottenHolder, recordedDeclaration } from '#core/access/recorded-change.ts';
import {
  type RecordedDecision,
  recordedDecision,
  recordedTap,
  recordedTime,
} from '#core/access/recorded-tap.ts';
import { Replay } from '#core/access/replay.ts';
import { type JournalEntry, parseEntry } from '#core/journal/entry.ts';
import { counted } from './counted.ts';
import { localTime, timeLimit } from './local-time.ts';
import { createOutput } from './output.ts';
import { openPolicy, type PolicySource, policyOptions } from './policy-source.ts';

interface ReplayOptions extends PolicySource {
  readonly journal: string;
  readonly from?: string;
  readonly to?: string;
  readonly json?: boolean;
}

/** One tap that the other policy would have decided otherwise. */
interface Difference {
  readonly sequence: number;
  readonly atMs: number;
  readonly door: string;
  readonly before: string;
  readonly after: string;
}

interface ReplayReport {
  taps: number;
  same: number;
  erased: number;
  beyond: number;
  readonly differences: Difference[];
}

/** `decision replay`: what another policy would change, tried on recorded taps. */
export function registerDecisionReplay(decision: Command): void {
  policyOptions(
    decision
      .command('replay')
      .description(
        'Decide recorded taps again by another policy and list what would change; nothing is written',
      )
      .requiredOption('--journal <file>', 'Journal database, in use or not')
      .option('--from <time>', 'First day or minute to report, such as 2026-04-01 or "2026-04-01 18:00"')
      .option('--to <time>', 'Last day, or the minute before which the report ends'),
  )
    .addHelpText(
      'after',
      '\nRules that remember (anti-passback, uses …) begin with the first entry of the journal, knowing nothing, so that\nthey have caught up by --from. Conditions of the site, zones and positions that a command forgot, and failed cards count as they were recorded. A tap whose personal values have been erased cannot be decided again.',
    )
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<ReplayOptions>();
      const policy = await openPolicy(options);
      try {
        const timeZone = policy.version()?.timeZone ?? 'Asia/Tokyo';
        const report = await replay(options, policy, timeZone);
        createOutput(options.json === true).result(report, reportText(report, timeZone));
      } finally {
        policy.close();
      }
    });
}

async function replay(options: ReplayOptions, policy: PolicyReader, timeZone: string): Promise<ReplayReport> {
  const fromMs = timeLimit(options.from, 'from', timeZone) ?? Number.NEGATIVE_INFINITY;
  const toMs = timeLimit(options.to, 'until', timeZone) ?? Number.POSITIVE_INFINITY;
  const report: ReplayReport = { taps: 0, same: 0, erased: 0, beyond: 0, differences: [] };
  const reader = new JournalReader({ file: options.journal });
  await reader.start();
  let again: Replay | undefined;
  try {
    for await (const item of reader.items()) {
      const entry = item.kind === 'entry' ? parseEntry(item.raw) : undefined;
      if (!entry || item.kind !== 'entry') continue;
      again ??= new Replay({ terminal: entry.terminal });
      const unused = unusedBy(entry);
      if (unused) again.notPassed(entry.tapId ?? '', unused);
      const declaration = recordedDeclaration(entry);
      if (declaration) again.declare(declaration);
      const personal = Object.fromEntries(item.personal.map(({ field, value }) => [field, value]));
      const forgotten = forgottenHolder(entry, personal);
      if (forgotten !== undefined) again.forget(forgotten);
      const recorded = recordedDecision(entry);
      if (!recorded || recorded.result === 'hold-again') continue;
      const outcome = decideAgain({ again, policy }, entry, recorded, personal);
      if (entry.atMs >= fromMs && entry.atMs < toMs) count(report, entry, recorded, outcome);
    }
  } finally {
    await reader.stop();
  }
  return report;
}

function decideAgain(
  { again, policy }: { readonly again: Replay; readonly policy: PolicyReader },
  entry: JournalEntry,
  recorded: RecordedDecision,
  personal: { readonly [field: string]: string },
): Decision | 'erased' | 'beyond' {
  const tap = recordedTap(entry, recorded, personal);
  const { door: doorId, reader: readerId } = recorded;
  const reason = denialReasons.find((one) => one === recorded.reason);
  if (typeof tap === 'string') {
    const time = recordedTime(entry, recorded);
    const rules = policy.doorPolicy(doorId)?.rules;
    if (tap === 'beyond' && reason && time && rules) again.failed({ rules, reason, readerId, time });
    return tap;
  }
  const slice = policy.slice({ doorId, ...tap.reading });
  const decision = again.decide(tap, slice);
  if (decision.kind === 'needs' && reason?.startsWith('pin-')) {
    const proven = tap.reading.assurance.includes('mutual-authentication');
    const whose = proven && slice.holder ? { holderId: slice.holder.holderId } : {};
    again.failed({ rules: slice.rules, reason, readerId, time: tap.time, ...whose });
  }
  return decision;
}

function count(
  report: ReplayReport,
  { sequence, atMs }: JournalEntry,
  recorded: RecordedDecision,
  outcome: Decision | 'erased' | 'beyond',
): void {
  report.taps += 1;
  if (typeof outcome === 'string') {
    report[outcome] += 1;
    return;
  }
  const before = outcomeOf(recorded.result, recorded.reason);
  // a PIN that was asked for then and came to nothing would come to nothing again
  const askedThen = recorded.reason?.startsWith('pin-') === true;
  const reason = outcome.kind === 'denied' || outcome.kind === 'waits' ? outcome.reason : undefined;
  const after = outcome.kind === 'needs' && askedThen ? before : outcomeOf(outcome.kind, reason);
  if (before === after) report.same += 1;
  else report.differences.push({ sequence, atMs, door: recorded.door, before, after });
}

function outcomeOf(kind: string, reason: string | undefined): string {
  return reason ?? (kind === 'needs' ? 'pin-needed' : kind);
}

/** What the entry says came of a grant that nobody used; undefined where it tells of none. */
function unusedBy({ kind, body }: JournalEntry): Unused | undefined {
  if (kind === 'door') return body.event === 'granted-not-opened' ? 'not-passed' : undefined;
  const failed = kind === 'actuation' && (body.result === 'not-opened' || body.result === 'failed');
  return failed ? 'not-opened' : undefined;
}

function reportText({ taps, same, erased, beyond, differences }: ReplayReport, timeZone: string): string {
  const totals = new Map<string, number>();
  for (const { before, after } of differences) {
    const change = `${before} → ${after}`;
    totals.set(change, (totals.get(change) ?? 0) + 1);
  }
  return [
    ...differences.map(
      ({ sequence, atMs, door, before, after }) =>
        `${String(sequence).padStart(7)}  ${localTime(atMs, timeZone)}  ${door}  ${before} → ${after}`,
    ),
    `${counted(taps, 'tap')}: ${same} the same, ${differences.length} otherwise, ${beyond} decided by no rule, ${erased} erased`,
    ...[...totals].map(([change, number]) => `  ${change}: ${number}`),
  ].join('\n');
}
