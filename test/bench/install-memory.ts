import { parseArgs } from 'node:util';
import type { Issuance } from '#issuance/main.ts';
import { makeHolders } from '#issuance/permissions/holder-rows.ts';
import type { HolderState } from '#issuance/permissions/holder-state.ts';
import { FleetServer } from './fleet-server.ts';
import { benchRules, readingOf } from './holders.ts';
import { memoryOf, memoryText, startTerminal } from './terminal-process.ts';

/**
 * `node test/bench/install-memory.ts [--holders N] [--short]`: the memory that an enrolled terminal takes while it installs
 * the first policy that its server sends, and after a restart. The second start is measured: the first takes the space of
 * the journal and meets no server. Fails, but for its short form, where the process of the terminal has ever taken more
 * than 200 MB.
 */
const { values } = parseArgs({
  options: { holders: { type: 'string', default: '250000' }, short: { type: 'boolean', default: false } },
});
const holders = values.short ? 40_000 : Number(values.holders);
const limitMb = 200;
const actor = { id: 'bench', via: 'command-line' } as const;
const server = new FleetServer({ most: 10 });
try {
  await server.prepare(0, fill);
  await server.start();
  const config = `${await server.enrol('lobby')}.yaml`;
  await measured(config, `while the first policy of ${holders} holders came`, 'policy in force');
  await measured(config, 'after a restart', 'connected to the server');
} finally {
  await server.stop();
}

/** Starts the terminal, and tells its memory once it has logged `message`. */
async function measured(config: string, when: string, message: string): Promise<void> {
  const terminal = await startTerminal(config);
  try {
    await terminal.logged(message);
    const memory = memoryOf(terminal);
    console.log(`resident ${when}: ${memoryText(memory)}`);
    if (!values.short && memory.highest > limitMb) {
      console.error(`resident ${when}: above ${limitMb} MB`);
      process.exitCode = 1;
    }
  } finally {
    await terminal.stop();
  }
}

async function fill(issuance: Issuance): Promise<void> {
  const city = await issuance.services.find('city');
  const place = await issuance.organizations.find('city');
  if (!city || !place) throw new Error('no organization');
  const { profiles, groups } = benchRules;
  const document = {
    ...{ formatVersion: 1, organization: 'city', groups: [...groups], doors: [{ id: 'main' }] },
    profiles: JSON.parse(JSON.stringify(profiles)),
    permissions: [{ group: 'staff', door: 'main' }],
  };
  const made = await city.rules.make({ document }, actor);
  if (made.kind !== 'made') throw new Error('the rules are refused');
  const ledger = await issuance.organizations.ledger(place);
  for (let at = 0; at < holders; at += 500) {
    const some = Array.from({ length: Math.min(500, holders - at) }, (_, index) => at + index);
    await ledger.change(actor, async (change) => {
      await makeHolders(change, new Map(some.map((index) => [`holder-${index}`, stateOf(index)])));
      await change.audit({ action: 'bench' });
    });
  }
}

function stateOf(index: number): HolderState {
  const { profileId, userNumber, diversifier = '' } = readingOf(index);
  const card = { profileId, userNumber, diversifier, status: 'active', keyVersion: 1 } as const;
  return { status: 'active', validFromMs: null, validUntilMs: null, groups: ['staff'], cards: [card] };
}
