import { z } from 'zod';
import { individualNumberRefused, looksLikeIndividualNumber } from '#core/card/user-number.ts';

/**
 * Names of organizations and terminals stand in certificates, topics, addresses and file names, and are compared by
 * programs that each fold letters in a way of their own (X.509 compares names without regard to case). So they are
 * of the one alphabet in which all of them agree, without the dot that AMQP takes for a level of a topic.
 */
const certifiedName = z
  .string()
  .regex(
    /^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/,
    'must be 1 to 32 lower-case letters a to z, digits or "-", and begin and end with a letter or digit',
  )
  .refine((text) => !looksLikeIndividualNumber(text), individualNumberRefused);

export const organizationName = certifiedName;
export const terminalName = certifiedName;

/** One terminal of one organization, as its certificate names it. */
export const terminalIdentitySchema = z.strictObject({
  organization: organizationName,
  terminal: terminalName,
});
export type TerminalIdentity = z.output<typeof terminalIdentitySchema>;

/** The issuance server at the broker. It has no organization, and no CA of an organization can name it. */
export const issuanceUsername = 'CN=issuance';

/**
 * Who a terminal is at a broker: the whole subject of its certificate as RFC 2253 writes it, last part first. A common
 * name alone would be constrained by no CA.
 */
export function brokerUsername({ organization, terminal }: TerminalIdentity): string {
  return `CN=${terminal},O=${organization}`;
}

/** The terminal a broker means; undefined for every name that no certificate of a terminal carries. */
export function parseBrokerUsername(username: string): TerminalIdentity | undefined {
  const [, terminal, organization] = /^CN=([^,]+),O=([^,]+)$/.exec(username) ?? [];
  return terminalIdentitySchema.safeParse({ organization, terminal }).data;
}
