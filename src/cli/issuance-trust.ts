import { Argument, type Command } from 'commander';
import { trustRoles } from '#core/sync/trust.ts';
import { type SigningPurpose, signingPurposes } from '#ports/signing-keys.ts';
import { wholeNumber } from './whole-number.ts';

const many = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

/** `issuance trust`: the ceremony. Every command but `token-key` works on files alone, on a machine that needs no network. */
export function registerIssuanceTrust(issuance: Command): void {
  const trust = issuance
    .command('trust')
    .description('Ceremony of roots, authorities and their keys, offline; see docs/trust.md');
  trust
    .command('key')
    .description('Make a signing key (ECDSA P-256), with its public key beside it')
    .argument('<file>', 'File for the key; its owner alone can read it')
    .action(async (file: string, _: unknown, command: Command) => {
      await (await import('./trust-ceremony.ts')).makeTrustKey(file, command.optsWithGlobals());
    });
  trust
    .command('token-key')
    .description(
      'Write the public key of an organization that is in the token of the server; made there where there is none',
    )
    .addArgument(new Argument('<purpose>', 'What it signs').choices([...signingPurposes]))
    .requiredOption('--config <file>', 'Configuration of the server, with its section keys')
    .requiredOption('--organization <id>', 'The organization')
    .requiredOption('--out <file>', 'File for the public key (PEM)')
    .action(async (purpose: SigningPurpose, _: unknown, command: Command) => {
      await (await import('./token-key.ts')).writeTokenKey(purpose, command.optsWithGlobals());
    });
  registerRoot(trust);
  trust
    .command('sign')
    .description('Add a signature to a root')
    .argument('<root>', 'The root; the signature is added to it')
    .requiredOption('--key <file>', 'Key of a root role')
    .action(async (file: string, _: unknown, command: Command) => {
      await (await import('./trust-ceremony.ts')).signTrustRoot(file, command.optsWithGlobals());
    });
  trust
    .command('check')
    .description('Say what a root says, who has signed it, and whether terminals will follow it')
    .argument('<root>', 'The root')
    .option('--after <file>', 'The root before it')
    .action(async (file: string, _: unknown, command: Command) => {
      await (await import('./trust-ceremony.ts')).checkTrustRoot(file, command.optsWithGlobals());
    });
  registerCertify(trust);
}

function registerRoot(trust: Command): void {
  const root = trust
    .command('root')
    .description('Draft the first root of an organization, or with --after the next; it is then to be signed')
    .requiredOption('--out <file>', 'File for the draft')
    .option('--after <file>', 'The root before it: what is not said here stays as it is there')
    .option('--organization <id>', 'Organization of a first root')
    .option('--authority <file>', 'Certificate (PEM) of an authority of servers; may be repeated', many);
  for (const role of trustRoles) {
    root
      .option(`--${role}-key <file>`, `Public key (PEM) of the role ${role}; may be repeated`, many)
      .option(`--${role}-threshold <n>`, 'How many of them must sign; 1 in a first root', wholeNumber);
  }
  root.action(async (_: unknown, command: Command) => {
    await (await import('./trust-ceremony.ts')).draftTrustRoot(command.optsWithGlobals());
  });
}

function registerCertify(trust: Command): void {
  trust
    .command('certify')
    .description('Make a certificate: platform, services, organization, server or issuance')
    .argument('<kind>', 'What the certificate is for')
    .requiredOption('--key <file>', 'Key that signs it')
    .requiredOption('--out <file>', 'File for the certificate and those above it (PEM)')
    .option(
      '--by <file>',
      'Certificate of the authority that signs it and those above (PEM); not for platform',
    )
    .option('--public-key <file>', 'Public key (PEM) it is for; not for platform')
    .option('--organization <id>', 'Organization that the authority is to name terminals of')
    .option('--name <name>', 'Name of the platform, or of its services')
    .option('--host <name>', 'Name or address of a server; may be repeated', many)
    .option('--years <n>', 'How long it holds; 20, 10 for authorities below, 2 for servers', wholeNumber)
    .action(async (kind: string, _: unknown, command: Command) => {
      await (await import('./trust-ceremony.ts')).certify(kind, command.optsWithGlobals());
    });
}
