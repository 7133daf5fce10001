import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { profileFile } from '../contracts/deck.ts';
import { makeTestVault } from '../contracts/test-vault.ts';
import { holderList, profileId } from './cards.ts';
import { rulesYaml, terminalYaml } from './configuration.ts';
import type { Machine } from './machine.ts';
import { ready } from './unit.ts';

const page = new URL('../../docs/commissioning.md', import.meta.url);

/** What the machine cannot do, or has done by then. Anything else of the page runs in it as it stands there. */
const leftOut: readonly RegExp[] = [
  // the checkout is copied, with node_modules and .runtime, as the page says of a machine without Internet
  /^sudo git clone /,
  // the driver that stands in for a reader here
  /^sudo apt-get remove vsmartcard-vpcd/,
  // the machine has one user
  /^sudo adduser "\$USER" /,
];

/** The shell commands of a section of docs/commissioning.md, block by block, each as a script. */
export function commandsOf(section: string): readonly string[] {
  const text = readFileSync(page, 'utf8');
  const begin = text.indexOf(`\n## ${section}\n`);
  if (begin < 0) throw new Error(`docs/commissioning.md has no section "${section}"`);
  const end = text.indexOf('\n## ', begin + 1);
  const blocks = text.slice(begin, end < 0 ? undefined : end).matchAll(/^```sh\n(.*?)^```$/gms);
  return [...blocks].map(([, block = '']) => {
    const lines = block.trimEnd().split('\n');
    const kept = lines.filter((line) => !leftOut.some((pattern) => pattern.test(line)));
    return ['set -e', 'cd /opt/kazasu', ...kept].join('\n');
  });
}

/** Installs, configures and starts the terminal on a machine with a copy of the checkout, as the page tells an operator to. */
export async function commission(machine: Machine): Promise<void> {
  for (const block of commandsOf('1. Install')) await machine.run(block);
  await machine.write('/opt/kazasu/your-profile.yaml', readFileSync(profileFile(profileId)));
  const [install = '', check = ''] =
    commandsOf('4. Configure')[0]?.split(/^(?=sudo -u kazasu .* config check)/m) ?? [];
  await machine.run(install);
  await machine.write('/etc/kazasu/terminal.yaml', terminalYaml(), '-m 0640 -g kazasu');
  await installKeys(machine);
  await machine.run(`cd /opt/kazasu\n${check}`);
  await machine.write('/opt/kazasu/rules.yaml', rulesYaml);
  await machine.write('/opt/kazasu/holders.csv', holderList('old'));
  for (const block of commandsOf('6. Permissions'))
    await machine.run(block.replace('A000000001', 'E00000000'));
  // as the page says of a clock that something else keeps
  await machine.run('mkdir -p /run/systemd/timesync && touch /run/systemd/timesync/synchronized');
  const [start = ''] = commandsOf('7. Run')[0]?.split(/^(?=journalctl )/m) ?? [];
  await machine.run(start);
  await ready(machine);
}

/** A vault with the published keys of virtual cards. */
async function installKeys(machine: Machine): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'kazasu-vault-'));
  await makeTestVault(folder);
  await machine.write(
    '/etc/kazasu/passphrase',
    readFileSync(join(folder, 'passphrase')),
    '-m 0600 -o kazasu -g kazasu',
  );
  await machine.write(
    '/var/lib/kazasu/vault',
    readFileSync(join(folder, 'vault')),
    '-m 0600 -o kazasu -g kazasu',
  );
  rmSync(folder, { recursive: true });
}
