import type { Kysely } from 'kysely';
import { holderIdRule, isHolderId } from '#core/access/holder-import.ts';
import type { SiteRules } from '#core/access/site-rules.ts';
import {
  hasUserNumberFormat,
  individualNumberRefused,
  looksLikeIndividualNumber,
} from '#core/card/user-number.ts';
import type { PermissionsTables } from '../storage/permissions-tables.ts';
import { type CardState, cardKeyText, type HolderState } from './holder-state.ts';

/** One thing wrong with what somebody asks for; the text never repeats a user number. */
export interface StateProblem {
  /** such as `cards.0.userNumber` */
  readonly path: string;
  readonly text: string;
}

/** What is wrong with a holder by itself and by the rules. */
export function holderProblems(
  holderId: string,
  state: HolderState,
  rules: SiteRules | undefined,
): readonly StateProblem[] {
  const problems: StateProblem[] = [];
  if (!isHolderId(holderId)) problems.push({ path: 'holderId', text: holderIdRule });
  else if (looksLikeIndividualNumber(holderId))
    problems.push({ path: 'holderId', text: individualNumberRefused });
  const { validFromMs, validUntilMs } = state;
  if (validFromMs !== null && validUntilMs !== null && validFromMs >= validUntilMs) {
    problems.push({ path: 'validUntil', text: 'is not later than validFrom' });
  }
  for (const [index, group] of state.groups.entries()) {
    if (!rules?.groups.includes(group)) {
      problems.push({ path: `groups.${index}`, text: 'is no group of the rules in force then' });
    }
  }
  const keys = new Set<string>();
  for (const [index, card] of state.cards.entries()) {
    const path = `cards.${index}`;
    problems.push(...cardProblems(card, rules, path));
    if (keys.has(cardKeyText(card))) problems.push({ path, text: 'stands twice' });
    keys.add(cardKeyText(card));
  }
  return problems;
}

function cardProblems(card: CardState, rules: SiteRules | undefined, path: string): StateProblem[] {
  const profile = rules?.profiles.find(({ id }) => id === card.profileId);
  if (!profile) return [{ path: `${path}.profileId`, text: 'is no card profile of the rules in force then' }];
  if (looksLikeIndividualNumber(card.userNumber)) {
    return [{ path: `${path}.userNumber`, text: individualNumberRefused }];
  }
  if (!hasUserNumberFormat(profile.userNumberFormat, card.userNumber)) {
    return [{ path: `${path}.userNumber`, text: `does not have the format of profile ${profile.id}` }];
  }
  return [];
}

/** Of `cards`, those whose user number another holder has: one person's card must not become another's. */
export async function numbersOfOthers(
  db: Kysely<PermissionsTables>,
  holderId: string,
  cards: readonly CardState[],
): Promise<readonly { readonly card: CardState; readonly holderId: string }[]> {
  if (cards.length === 0) return [];
  const rows = await db
    .selectFrom('cards')
    .select(['profile_id', 'user_number', 'holder_id'])
    .where(
      'user_number',
      'in',
      cards.map((card) => card.userNumber),
    )
    .where('holder_id', '<>', holderId)
    .execute();
  return rows.flatMap((row) =>
    cards
      .filter((card) => card.profileId === row.profile_id && card.userNumber === row.user_number)
      .map((card) => ({ card, holderId: row.holder_id })),
  );
}
