import { z } from 'zod';
import { type Checked, documentBytes, readDocument, refused } from './document.ts';
import { changesOf, isBefore, type SignedState } from './progress.ts';
import { isSignedByRole, type SignedDocument } from './signed.ts';
import { partyId, type TrustRoot } from './trust.ts';

const format = 1;
const maximumBytes = 262_144;
const atMost = 1_000;
const schema = z
  .strictObject({
    type: z.literal('policy-revocation'),
    format: z.literal(format),
    organization: partyId,
    /** the number of the change, which manifests count too */
    changeNumber: z.int().min(1),
    /** version of the root whose keys sign this */
    rootVersion: z.int().min(1),
    issuedAtMs: z.int().min(0),
    holders: z.array(z.string().min(1).max(256)).max(atMost),
    /** without a diversifier the record that stands for any card with the user number */
    cards: z
      .array(
        z.strictObject({
          profileId: z.string().min(1).max(64),
          userNumber: z.string().min(1).max(64),
          diversifier: z
            .string()
            .regex(/^(?:[0-9A-F]{2}){1,32}$/)
            .exactOptional(),
        }),
      )
      .max(atMost),
  })
  .refine(({ holders, cards }) => holders.length + cards.length > 0);

/**
 * Holders and cards that must open nothing from now on, for every terminal of an organization: ahead of the manifest
 * that says the same, and until then. It can only refuse, and what a manifest says later counts for more, so that an
 * old one sent again does nothing and none need expire.
 */
export type Revocation = Readonly<z.output<typeof schema>>;

/** The bytes to sign. */
export function revocationBytes(content: Omit<Revocation, 'type' | 'format'>): Uint8Array {
  return documentBytes({ ...content, type: 'policy-revocation', format });
}

/** The changes that the installed policy has. */
export type KnownChanges = Pick<SignedState, 'rootVersion' | 'changeNumber'>;

/** Whether a terminal believes a revocation: signed in the role `policy`, and not in the installed policy already. */
export function checkRevocation(
  document: SignedDocument,
  { root, known }: { readonly root: TrustRoot; readonly known?: KnownChanges | undefined },
): Checked<Revocation> {
  if (document.raw.length > maximumBytes) return refused('oversize');
  if (!isSignedByRole(document, root.roles.policy)) return refused('signatures-insufficient');
  const read = readDocument(document.raw, { schema, format, maximumBytes });
  if (read.kind === 'refused') return read;
  if (read.value.organization !== root.organization) return refused('other-organization');
  if (read.value.rootVersion > root.version) return refused('root-unknown');
  if (known && !isBefore(changesOf(known), changesOf(read.value))) return refused('older');
  return read;
}
