import { type Command, InvalidArgumentError } from 'commander';
import { Keypad } from '#adapters/hid/keypad.ts';
import { hidSysfs } from '#adapters/hid/keypad-sysfs.ts';
import { nodeHid } from '#adapters/hid/node-hid.ts';
import { SystemClock } from '#adapters/os/clock.ts';
import type { PinPadWiring } from '#core/access/door-wiring.ts';
import type { CardProfile } from '#core/card/profile.ts';
import { CardSession } from '#core/card/session.ts';
import { Fault, type FaultRecord } from '#core/fault.ts';
import { faultMeanings } from '#core/texts/faults.ts';
import type { Language, Text } from '#core/texts/language.ts';
import type { KeyDerivation } from '#ports/key-derivation.ts';
import { loadCardProfile } from '#terminal/config.ts';
import { type CounterPinChange, changePinOfCard, type PinChangeStep } from '#terminal/pin-change.ts';
import { type CardInHand, withCardInHand } from './card-in-hand.ts';
import { keysHelp, withKeys } from './key-options.ts';
import { createOutput, type Output } from './output.ts';
import { withoutKeys } from './pcsc-session.ts';

interface ChangeOptions {
  readonly profile: string;
  readonly keys: string;
  readonly keypad: PinPadWiring;
  readonly reader?: string;
}

/** how long the holder has for each PIN */
const entryLimitMs = 60_000;

function parseKeypad(text: string): PinPadWiring {
  const [, vendorId, productId] = /^([0-9a-f]{4}):([0-9a-f]{4})$/.exec(text.toLowerCase()) ?? [];
  if (vendorId === undefined || productId === undefined) {
    throw new InvalidArgumentError('lsusb shows a keypad as 04d9:a02a.');
  }
  return { kind: 'usb-keypad', vendorId, productId };
}

export function registerCardChangePin(card: Command): void {
  card
    .command('change-pin')
    .description(
      'At a counter: change the PIN of the card that is held up, entered by its holder on a keypad',
    )
    .requiredOption('--profile <file>', 'Card profile')
    .requiredOption('--keys <file>', keysHelp)
    .requiredOption('--keypad <id>', 'USB keypad, such as 04d9:a02a', parseKeypad)
    .option('--reader <name>', 'Exact name of the reader (default: every reader there is)')
    .action(async (options: ChangeOptions, command: Command) => {
      const output = createOutput(command.optsWithGlobals<{ json?: boolean }>().json ?? false);
      const profile = await loadCardProfile(options.profile);
      if (!profile.pin) throw new Fault('argument-invalid', `card profile ${profile.id} has no PIN`);
      const { reader, keypad } = options;
      const waitFor = 'カードをリーダーに置いてください / put the card onto the reader, and leave it there';
      await withKeys(options.keys, (keys = withoutKeys()) =>
        withCardInHand({ reader, waitFor }, output, async (inHand) => {
          report(await change({ inHand, profile, keys, keypad, output }), output);
        }),
      );
    });
}

interface Counter {
  readonly inHand: CardInHand;
  readonly profile: CardProfile;
  readonly keys: KeyDerivation;
  readonly keypad: PinPadWiring;
  readonly output: Output;
}

const prompts: Readonly<Record<PinChangeStep, Text>> = {
  current: { ja: '現在の暗証番号', en: 'current PIN' },
  new: { ja: '新しい暗証番号', en: 'new PIN' },
  'new-again': { ja: '新しい暗証番号をもう一度', en: 'new PIN again' },
};

async function change({ inHand, profile, keys, keypad, output }: Counter): Promise<CounterPinChange> {
  const { card, randomBytes, monotonicUs } = inHand;
  const clock = new SystemClock();
  const session = new CardSession({
    transmit: card.transmit,
    profiles: [profile],
    cardKeys: keys.cardKeys.bind(keys),
    randomBytes,
    monotonicUs,
    presentedAtUs: monotonicUs(),
  });
  const pinPad = new Keypad({
    wiring: keypad,
    hid: nodeHid,
    sysfs: hidSysfs(),
    after: (delayMs, action) => clock.after(delayMs, action),
    onFault: (fault) => output.note(`${fault.code}: ${fault.message}`),
  });
  const { minimumDigits = 4, maximumDigits = 12 } = profile.pin ?? {};
  try {
    return await changePinOfCard(
      {
        session,
        pinPad,
        request: { minimumDigits, maximumDigits, timeoutMs: entryLimitMs },
        asking: (step) => output.note(`${prompts[step].ja} / ${prompts[step].en}`),
      },
      new AbortController().signal,
    );
  } finally {
    await pinPad.stop();
  }
}

/** Why the card could not even be read. */
function unreadText(outcome: Extract<CounterPinChange, { kind: 'unread' }>['outcome']): Text {
  switch (outcome.kind) {
    case 'refused':
      return refusal('カードを読み取れません', 'the card could not be read', outcome.fault);
    case 'unknown-card':
      return { ja: 'カードに対象のカードAPがありません', en: 'the card does not have this card AP' };
    case 'removed':
    case 'timeout':
    case 'too-slow':
      return {
        ja: 'カードを読み取れません。もう一度置いてください',
        en: 'the card could not be read; put it onto the reader again',
      };
    default:
      return outcome satisfies never;
  }
}

function refusal(ja: string, en: string, { code, message }: FaultRecord): Text {
  return { ja: `${ja}: ${code}: ${faultMeanings[code]}`, en: `${en}: ${code}: ${message}` };
}

function report(outcome: CounterPinChange, output: Output): void {
  if (outcome.kind !== 'changed') process.exitCode = 1;
  const language = (text: Text): string =>
    (['ja', 'en'] as const).map((one: Language) => text[one]).join(' / ');
  output.result({ outcome }, language(outcomeText(outcome)));
}

function outcomeText(outcome: CounterPinChange): Text {
  switch (outcome.kind) {
    case 'changed':
      return { ja: '暗証番号を変更しました', en: 'the PIN has been changed' };
    case 'mismatch':
      return {
        ja: '新しい暗証番号が一致しません。カードは変わっていません',
        en: 'the new PIN was not entered twice alike; the card is as it was',
      };
    case 'not-entered':
      return {
        ja: '入力されませんでした。カードは変わっていません',
        en: 'nothing was entered; the card is as it was',
      };
    case 'pin-pad-absent':
      return { ja: 'テンキーが使えません', en: 'the keypad cannot be used' };
    case 'wrong':
      return {
        ja: `現在の暗証番号が違います（残り${outcome.triesLeft}回）`,
        en: `the current PIN is wrong; tries left: ${outcome.triesLeft}`,
      };
    case 'withheld':
      return {
        ja: `残り${outcome.triesLeft}回のため送りませんでした`,
        en: `nothing was sent, since only ${outcome.triesLeft} tries are left`,
      };
    case 'blocked':
      return { ja: '暗証番号はロックされています', en: 'the PIN is blocked' };
    case 'removed':
    case 'timeout':
      return {
        ja: '変更の前にカードが離れました。暗証番号は変わっていませんが、照合1回に数えられたかもしれません',
        en: 'the card left before the change; the PIN is as it was, but one try may have been counted',
      };
    case 'uncertain':
      return {
        ja: '変更の途中でカードとの通信が切れました。暗証番号は新旧いずれかです。まず新しい番号で確かめてください',
        en: 'the exchange broke off during the change: either PIN may be the card’s now; try the new one first',
      };
    case 'refused':
      return refusal('変更できません', 'not changed', outcome.fault);
    case 'unread':
      return unreadText(outcome.outcome);
    default:
      return outcome satisfies never;
  }
}
