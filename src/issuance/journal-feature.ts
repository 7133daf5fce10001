import { setTimeout } from 'node:timers/promises';
import { isFault } from '#core/fault.ts';
import { decodeLiveEvents } from '#core/sync/live-events.ts';
import type { TakenMessage } from '#ports/intake.ts';
import type { Committed } from './journal/batch-storing.ts';
import { JournalIngestion } from './journal/journal-ingestion.ts';
import { JournalWork, type JournalWorkerData } from './journal-work.ts';
import type { GatewayContext, TerminalFeature } from './terminals/terminal-feature.ts';

/** how long after a database did not take something it is tried again */
const patienceMs = 2_000;

/** Takes the journals of terminals, and what they tell of what happens now. */
export function journalFeature(
  { services, log, publish, metrics }: GatewayContext,
  { database, stateDirectory }: JournalWorkerData['config'],
): TerminalFeature {
  const traced = log.isLevelEnabled('debug');
  const work = new JournalWork({
    config: { database, stateDirectory },
    traced,
    letGo: (organization, { entries, values }) =>
      log.info({ organization, entries, values }, 'entries older than the rule were let go of'),
    clockMoved: () =>
      log.error('the clock was set to another time: for a day nothing is let go of that the rules call old'),
    onFault: (organization, fault) => log.error({ organization, fault: fault.code }, fault.message),
  });
  const stopping = new AbortController();
  const ingestion = new JournalIngestion({
    store: (organization, batches, committed) => work.store(organization, batches, committed),
    publish,
    committed: (organization, committed) => {
      told(organization, committed);
      if (committed.alarms.length > 0) void showAlarms(organization, committed.alarms);
    },
    failed: (organization, error) => {
      if (!isFault(error)) throw error;
      log.error({ organization, fault: error.code }, `journals were not stored: ${error.message}`);
    },
    patience: () => setTimeout(patienceMs, undefined, { signal: stopping.signal }).catch(() => undefined),
  });

  metrics.watch('kazasu_journal_queue_ratio', 'How full the queue of journals is, 0 to 1', () =>
    ingestion.load(),
  );

  function told(organization: string, { entries, tookMs, taps, alarms, refusals }: Committed): void {
    metrics.entriesStored.inc({ organization: metrics.organization(organization) }, entries);
    metrics.commitSeconds.observe(tookMs / 1_000);
    log.debug({ organization, entries, tookMs: Math.round(tookMs) }, 'journals stored');
    for (const tap of taps) log.debug({ organization, ...tap }, 'entry stored');
    for (const alarm of alarms) log.error({ organization, alarm: 'journal', ...alarm }, 'alarm');
    if (refusals.length > 0) metrics.refused.inc({ by: 'journals', why: 'malformed' }, refusals.length);
    for (const refusal of refusals)
      log.error({ organization, ...refusal }, 'a batch of a journal was refused');
  }

  async function showAlarms(organization: string, alarms: Committed['alarms']): Promise<void> {
    const found = await services.find(organization).catch(() => undefined);
    for (const alarm of alarms) found?.live.alarm(alarm);
  }

  async function showLive(messages: readonly TakenMessage[]): Promise<void> {
    for (const { from, payload } of messages) {
      const read = decodeLiveEvents(payload, from);
      if (read.kind === 'refused') {
        log.warn({ ...from, reason: read.reason }, 'live events were refused');
        continue;
      }
      (await services.find(from.organization))?.live.entries(from.terminal, read.value.events);
    }
  }

  return {
    takes: {
      journal: async (messages) => {
        // other kinds do not wait for a commit; `failed` has told what this rejects with
        ingestion.take(messages).catch(() => undefined);
      },
      live: showLive,
    },
    connected: () => work.start(),
    stop: async () => {
      stopping.abort();
      await ingestion.stop();
      await work.stop();
    },
  };
}
