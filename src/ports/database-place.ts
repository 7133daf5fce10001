/** An organization as its databases are found: `number` is given to it once and to no other after it. */
export interface OrganizationPlace {
  readonly id: string;
  readonly number: number;
}

/** Which database of the issuance server. Each organization has two of its own, so that each has its own writer. */
export type DatabasePlace =
  | { readonly kind: 'platform' }
  | { readonly kind: 'permissions' | 'journal'; readonly organization: OrganizationPlace };

export type DatabaseKind = DatabasePlace['kind'];
