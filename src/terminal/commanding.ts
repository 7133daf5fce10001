import type { Logger } from 'pino';
import type { AccessMemory } from '#core/access/access-memory.ts';
import type { DecisionTime } from '#core/access/rule.ts';
import type { Clock } from '#ports/clock.ts';
import type { HolderFacts } from '#ports/holder-facts.ts';
import type { JournalAppend } from '#ports/journal-append.ts';
import type { PolicyLookup } from '#ports/policy-lookup.ts';
import { CommandInquiries, type Device } from './command-inquiries.ts';
import { CommandPlans } from './command-plans.ts';
import { Commands } from './commands.ts';
import type { Desks } from './desks.ts';
import type { Doors } from './doors.ts';
import type { JournalWriter } from './journal-writer.ts';
import type { SureTime } from './sure-time.ts';
import type { TerminalSettings } from './terminal.ts';

export interface CommandingParts {
  readonly settings: TerminalSettings;
  readonly memory: AccessMemory;
  readonly doors: Doors;
  readonly desks: Desks;
  readonly journal: JournalWriter;
  readonly space: Pick<JournalAppend, 'space'>;
  readonly policy: PolicyLookup;
  readonly holders: HolderFacts | undefined;
  readonly device: Device | undefined;
  readonly clock: Clock;
  readonly sure: SureTime;
  readonly time: () => DecisionTime;
  readonly log: Logger;
}

/** What obeys commands at a terminal, and what answers questions about it. */
export function buildCommanding(parts: CommandingParts): {
  readonly commands: Commands;
  readonly inquiries: CommandInquiries;
} {
  const { settings, device, sure, log } = parts;
  const restart = device?.restart?.bind(device);
  const plans = new CommandPlans({ ...parts, restart, sureMs: () => sure.nowMs() });
  const inquiries = new CommandInquiries({ ...parts, plans });
  const commands = new Commands({
    ...parts,
    terminalId: settings.terminalId,
    plans,
    inquiries,
    log: log.child({ component: 'commands' }),
  });
  return { commands, inquiries };
}
