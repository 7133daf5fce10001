import { holderColumns } from '#core/access/holder-columns.ts';
import type { DistributionFeed } from './distribution-feed.ts';
import type { StoredHolder } from './holder-rows.ts';
import type { CardState } from './holder-state.ts';

const atOnce = 500;
const minuteMs = 60_000;

/**
 * All holders who have cards as a CSV list, a line a card, in the columns that an import reads. What administrators have
 * suspended is no part of it: it stands apart from what lists say.
 */
export async function* holderList(feed: DistributionFeed): AsyncIterable<string> {
  yield `${holderColumns.join(',')}\n`;
  for (let after = ''; ; ) {
    const holders = await feed.recorded(after, atOnce);
    after = holders.at(-1)?.holderId ?? after;
    if (holders.length === 0) return;
    yield holders.flatMap((holder) => holder.state.cards.map((card) => lineOf(holder, card))).join('');
  }
}

function lineOf({ holderId, state }: StoredHolder, card: CardState): string {
  const cells: Readonly<Record<(typeof holderColumns)[number], string>> = {
    user_number: card.userNumber,
    profile: card.profileId,
    holder: holderId,
    status: state.status,
    // a list has whole minutes: the time in which the holder is valid gets no longer
    valid_from: limit(state.validFromMs, Math.ceil),
    valid_until: limit(state.validUntilMs, Math.floor),
    groups: state.groups.join(';'),
    card_status: card.status,
    key_version: card.keyVersion === null ? '' : String(card.keyVersion),
    diversifier: card.diversifier,
  };
  return `${holderColumns.map((column) => cells[column]).join(',')}\n`;
}

function limit(ms: number | null, round: (minutes: number) => number): string {
  if (ms === null) return '';
  return `${new Date(round(ms / minuteMs) * minuteMs).toISOString().slice(0, 16)}Z`;
}
