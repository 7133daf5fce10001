import { once } from 'node:events';
import { createFile } from '#adapters/process/durable-file.ts';
import { Fault } from '#core/fault.ts';
import type { Text } from '#core/texts/language.ts';
import { shownHolder, shownState } from '#issuance/http/wire.ts';
import { holderList } from '#issuance/permissions/holder-export.ts';
import type { StoredHolder } from '#issuance/permissions/holder-rows.ts';
import { type CardState, cardKeyText } from '#issuance/permissions/holder-state.ts';
import type { HolderOutcome } from '#issuance/permissions/holders.ts';
import type { OrganizationServices } from '#issuance/services.ts';
import { commandActor } from './issuance-organization.ts';
import {
  commandPrincipal,
  type OrganizationOptions,
  withOrganizationServices,
} from './organization-services.ts';
import { createOutput } from './output.ts';

interface CardOptions extends OrganizationOptions {
  readonly card?: string;
  readonly profile?: string;
  readonly diversifier?: string;
}

const words = {
  suspended: { ja: '利用を停止した', en: 'is suspended' },
  resumed: { ja: '利用停止を解除した', en: 'is suspended no more' },
  notSuspended: { ja: 'は利用停止ではない', en: 'was not suspended' },
  endedAnyway: {
    ja: '記録上の状態が「有効」ではないため、まだ利用できない',
    en: 'what is recorded is not active: nothing opens yet',
  },
} satisfies Readonly<Record<string, Text>>;

/** Suspends a holder or one card at once. Rejects with `argument-invalid` where there is none. */
export async function suspendHolder(
  id: string,
  options: CardOptions & { readonly reason: string },
): Promise<void> {
  await withOrganizationServices(options, async ({ holders }) => {
    const before = await found(holders, id, options);
    const card = cardOf(before, options);
    const { reason } = options;
    const outcome = card
      ? await holders.suspendCard(id, card, reason, commandActor())
      : await holders.suspend(id, reason, commandActor());
    tell(done(outcome), words.suspended, options);
  });
}

/** Lifts a suspension. Rejects with `argument-invalid` where there is no such holder or card. */
export async function resumeHolder(id: string, options: CardOptions): Promise<void> {
  await withOrganizationServices(options, async ({ holders }) => {
    const before = await found(holders, id, options);
    const card = cardOf(before, options);
    const is = card ? before.suspendedCards[cardKeyText(card)] : before.suspended;
    if (!is) return tell(before, words.notSuspended, options);
    const outcome = card
      ? await holders.liftCardSuspension(id, { ...card, ...is }, commandPrincipal())
      : await holders.liftSuspension(id, commandPrincipal());
    tell(done(outcome), words.resumed, options);
  });
}

/** Shows a holder as recorded, or as planned for a moment. */
export async function showHolder(
  id: string,
  options: OrganizationOptions & { readonly at?: number },
): Promise<void> {
  await withOrganizationServices(options, async ({ holders, changeSets }) => {
    const output = createOutput(options.json === true);
    if (options.at !== undefined) {
      const state = await changeSets.rehearse(id, options.at);
      const shown = { holderId: id, holder: state ? shownState(state) : null };
      return output.result(shown, JSON.stringify(shown, null, 2));
    }
    const holder = shownHolder(await found(holders, id, options));
    output.result(holder, JSON.stringify(holder, null, 2));
  });
}

/** Writes all holders with cards as a list (CSV) that can be imported again. Rejects with `key-refused` where `out` is there. */
export async function exportHolders(options: OrganizationOptions & { readonly out?: string }): Promise<void> {
  const { out, json } = options;
  await withOrganizationServices(options, async ({ feed }) => {
    if (out === undefined) {
      for await (const part of holderList(feed)) {
        if (!process.stdout.write(part)) await once(process.stdout, 'drain');
      }
      return;
    }
    let text = '';
    for await (const part of holderList(feed)) text += part;
    await createFile(out, Buffer.from(text));
    const cards = text.split('\n').length - 2;
    createOutput(json === true).result({ file: out, cards }, `${out}: ${cards}`);
  });
}

async function found(
  holders: OrganizationServices['holders'],
  id: string,
  { organization }: OrganizationOptions,
): Promise<StoredHolder> {
  const holder = await holders.find(id);
  if (!holder) throw new Fault('argument-invalid', `${organization} has no holder "${id}"`);
  return holder;
}

/** The one card of the holder that the options name; undefined: none is named. */
function cardOf(holder: StoredHolder, { card, profile, diversifier }: CardOptions): CardState | undefined {
  if (card === undefined) {
    if (profile === undefined && diversifier === undefined) return undefined;
    throw new Fault('argument-invalid', '--profile and --diversifier belong to --card');
  }
  const named = holder.state.cards.filter(
    (one) =>
      one.userNumber === card &&
      (profile === undefined || one.profileId === profile) &&
      (diversifier === undefined || one.diversifier === diversifier.toUpperCase()),
  );
  const [only] = named;
  if (only && named.length === 1) return only;
  throw new Fault(
    'argument-invalid',
    only
      ? 'the holder has several such cards; say which with --profile and --diversifier'
      : 'the holder has no such card',
  );
}

function done(outcome: HolderOutcome): StoredHolder {
  if (outcome.kind === 'done') return outcome.holder;
  throw new Fault('argument-invalid', `the holder was changed meanwhile (${outcome.kind}); look again`);
}

function tell(holder: StoredHolder, said: Text, options: CardOptions): void {
  const { language, json, card } = options;
  const of = [holder.holderId, ...(card === undefined ? [] : [card])].join(' ');
  const space = language === 'ja' && said === words.notSuspended ? '' : ' ';
  const lines = [`${of}${space}${said[language]}`];
  if (said === words.resumed && holder.state.status !== 'active') lines.push(words.endedAnyway[language]);
  createOutput(json === true).result(shownHolder(holder), lines.join('\n'));
}
