import { existsSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Command, InvalidArgumentError } from 'commander';
import { Fault } from '#core/fault.ts';

const defaultPort = 8_080;
const projectDirectory = fileURLToPath(new URL('../..', import.meta.url));
const defaultData = resolve(projectDirectory, '.data/site');

export function registerSite(program: Command): void {
  program
    .command('site')
    .description('Run a simulated building with virtual cards and serve its page on this machine')
    .option(
      '--port <number>',
      'Port on 127.0.0.1; nothing else on the network reaches it',
      parsePort,
      defaultPort,
    )
    .option(
      '--data <directory>',
      'Where the server, terminals and PIN counters keep their state between runs',
      defaultData,
    )
    .option('--direct', 'Join cards to the terminal without PC/SC, even where pcscd can be had')
    .addHelpText(
      'after',
      `
Cards go through the pcscd that runs with vpcd (Debian: vsmartcard-vpcd), else through one started here (as root),
else without PC/SC; the output and the page say which. Cards, keys and PINs of the site are toys. Stop it with Ctrl-C.`,
    )
    .action(runSite);
}

async function runSite(
  { port, data, direct }: { port: number; data: string; direct?: true },
  command: Command,
): Promise<void> {
  const { createOutput } = await import('./output.ts');
  const { startSite } = await import('#simulators/site/site.ts');
  const pagesDirectory = resolve(projectDirectory, 'dist/web');
  if (!existsSync(resolve(pagesDirectory, 'site/index.html'))) {
    throw new Fault(
      'file-unreadable',
      'the pages are not built; run scripts/setup (or npm run build:web) first',
    );
  }
  const output = createOutput(command.optsWithGlobals<{ json?: boolean }>().json ?? false);
  const stopAsked = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
  const dataDirectory = resolve(data);
  const site = await startSite({ dataDirectory, pagesDirectory, port, cardLink: direct ? 'direct' : 'any' });
  const config = relative('', site.issuance);
  output.result(
    { url: site.url, cardLink: site.cardLink.view, data: dataDirectory, issuance: site.issuance },
    [
      `The simulated building is open: ${site.url}`,
      `Card link: ${site.cardLink.remark}`,
      `Data: ${dataDirectory}`,
      `Server: scripts/kazasu issuance holder suspend sato --organization kazasu-city --config ${config}`,
      `Commands: scripts/kazasu door unlock front --reason TEXT --socket ${relative('', join(dataDirectory, 'terminals/front/control.sock'))}`,
      'Stop it with Ctrl-C.',
    ].join('\n'),
  );
  await stopAsked;
  output.note('Locking the doors and closing the journal ...');
  await site.stop();
}

function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port > 65_535) {
    throw new InvalidArgumentError('a port is a number from 0 (any free one) to 65535');
  }
  return port;
}
