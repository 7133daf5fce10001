import type { Decision, DenialReason, WaitReason } from '#core/access/decision.ts';
import type { Language, Text } from './language.ts';

/** `holder`: what the person at the door reads, short and without secrets. `operator`: what staff reads. */
export type Audience = 'holder' | 'operator';

interface ReasonTexts {
  readonly holder: Text;
  readonly operator: Text;
}

const seeDesk: Text = {
  ja: '利用できません。窓口へお越しください',
  en: 'Not permitted. Please ask at the desk',
};
const again: Text = { ja: 'もう一度かざしてください', en: 'Hold the card again' };

const reasons: { readonly [reason in DenialReason | WaitReason]: ReasonTexts } = {
  'unknown-card': {
    holder: { ja: 'このカードは利用できません', en: 'This card cannot be used here' },
    operator: {
      ja: 'カードに対象のカードAPがない',
      en: 'No card application of an admitted profile on the card',
    },
  },
  'user-number-unknown': {
    holder: seeDesk,
    operator: { ja: '利用者番号が許可に登録されていない', en: 'User number is not in the policy' },
  },
  'profile-not-admitted': {
    holder: { ja: 'このカードは利用できません', en: 'This card cannot be used here' },
    operator: {
      ja: 'このカードプロファイルは許可されていない',
      en: 'The policy does not admit this card profile',
    },
  },
  'key-version-ended': {
    holder: seeDesk,
    operator: {
      ja: 'カードの鍵バージョンの受入期限が過ぎている（鍵の更新が必要）',
      en: 'The key version of the card is no longer accepted; the card needs new keys',
    },
  },
  'card-not-registered': {
    holder: seeDesk,
    operator: {
      ja: '利用者のカードとして登録されていないカード',
      en: 'Not one of the holder’s registered cards',
    },
  },
  'card-suspended': {
    holder: seeDesk,
    operator: { ja: 'カードが一時停止中', en: 'Card is suspended' },
  },
  'card-ended': {
    holder: seeDesk,
    operator: { ja: 'カードの利用が終了している', en: 'Card has been ended' },
  },
  'holder-suspended': {
    holder: seeDesk,
    operator: { ja: '利用者が一時停止中', en: 'Holder is suspended' },
  },
  'holder-ended': {
    holder: seeDesk,
    operator: { ja: '利用者の利用が終了している', en: 'Holder has been ended' },
  },
  'not-yet-valid': {
    holder: { ja: '有効期間前です', en: 'Not valid yet' },
    operator: { ja: '利用者の有効期間前', en: 'Before the holder’s validity' },
  },
  'no-longer-valid': {
    holder: { ja: '有効期限が切れています', en: 'No longer valid' },
    operator: { ja: '利用者の有効期限切れ', en: 'After the holder’s validity' },
  },
  'no-permission': {
    holder: { ja: 'この扉の利用は許可されていません', en: 'No permission for this door' },
    operator: {
      ja: 'この扉を許可するグループに属していない',
      en: 'None of the holder’s groups may use this door',
    },
  },
  'outside-schedule': {
    holder: { ja: '利用時間外です', en: 'Outside permitted hours' },
    operator: { ja: '許可の時間帯の外', en: 'Outside the schedule of every permission for this door' },
  },
  'time-unknown': {
    holder: seeDesk,
    operator: {
      ja: '時計が未確認で、時間による許可を判断できない',
      en: 'The clock is not known to be right, and this permission depends on time',
    },
  },
  'policy-too-old': {
    holder: seeDesk,
    operator: {
      ja: '許可が長く更新されておらず、この扉は利用を制限している',
      en: 'The policy has not been confirmed for so long that this door admits less, or nobody',
    },
  },
  'door-unknown': {
    holder: seeDesk,
    operator: { ja: '許可にこの扉の定義がない', en: 'The policy does not define this door' },
  },
  evacuation: {
    holder: { ja: '避難中です。入れません', en: 'Evacuation. Do not enter' },
    operator: { ja: '避難中の区域への入場', en: 'Entry into a zone that is being evacuated' },
  },
  lockdown: {
    holder: { ja: '現在、閉鎖中です', en: 'Closed at this time' },
    operator: { ja: '閉鎖（ロックダウン）中', en: 'Lockdown' },
  },
  'interlock-busy': {
    holder: { ja: '他の扉が閉まってからかざしてください', en: 'Wait until the other door is closed' },
    operator: {
      ja: 'インターロックの他の扉が施錠・閉扉されていない',
      en: 'Another door of the interlock is not known to be locked and closed',
    },
  },
  'clearance-insufficient': {
    holder: { ja: '現在は利用できません', en: 'Not permitted at this time' },
    operator: {
      ja: '現在の警戒レベルに必要な資格がない',
      en: 'The threat level asks for more clearance than the holder has',
    },
  },
  'locked-out': {
    holder: { ja: 'しばらく待ってからかざしてください', en: 'Please wait a while, then try again' },
    operator: {
      ja: '失敗が続いたため一時的に受け付けない',
      en: 'Locked out for a time after repeated failures',
    },
  },
  'already-inside': {
    holder: { ja: '入場済みです', en: 'Already inside' },
    operator: {
      ja: '入場済みのカードによる再入場（アンチパスバック）',
      en: 'Entering a zone while inside it (anti-passback)',
    },
  },
  'not-inside': {
    holder: seeDesk,
    operator: {
      ja: '入場していないカードによる退場（アンチパスバック）',
      en: 'Leaving a zone while not inside it (anti-passback)',
    },
  },
  'too-soon': {
    holder: { ja: '時間をおいてからかざしてください', en: 'Used just now. Please try again later' },
    operator: { ja: '再通行までの時間が経過していない', en: 'Again within the time that must lie between' },
  },
  'zone-full': {
    holder: { ja: '満員です', en: 'Full. Please wait' },
    operator: { ja: '区域の定員に達している', en: 'The zone holds as many people as it may' },
  },
  'service-unknown': {
    holder: seeDesk,
    operator: {
      ja: '許可にこのサービスの定義がないか、求められた操作ができない',
      en: 'The policy has no such service, or the service no such action',
    },
  },
  'already-admitted': {
    holder: { ja: '受付済みです', en: 'Already admitted' },
    operator: { ja: 'この催しには入場済み', en: 'Already admitted to this event' },
  },
  'no-uses-left': {
    holder: { ja: '残り回数がありません', en: 'No uses left' },
    operator: { ja: '利用回数の上限に達している', en: 'As many uses as the limit of the period' },
  },
  'loan-limit': {
    holder: { ja: '貸出しの上限に達しています', en: 'As many loans as you may have' },
    operator: { ja: '貸出数の上限に達している', en: 'The holder has as many loans as the limit' },
  },
  'item-lent': {
    holder: { ja: '貸出し中です', en: 'Already on loan' },
    operator: { ja: 'この品は貸出し中', en: 'The item is out' },
  },
  'item-not-lent': {
    holder: seeDesk,
    operator: {
      ja: 'この利用者に貸し出されていない品の返却',
      en: 'Return of an item that this holder does not have',
    },
  },
  'group-apart': {
    holder: { ja: '現在は利用できません', en: 'Not permitted at this time' },
    operator: {
      ja: '端末グループと通信できず、この規則では許可できない',
      en: 'Cut off from the group of terminals that counts together, and the rule denies meanwhile',
    },
  },
  'assurance-insufficient': {
    holder: { ja: 'このカードではこの扉を開けられません', en: 'This card cannot open this door' },
    operator: { ja: '扉の求める認証強度に足りない', en: 'The reading lacks assurance that the door demands' },
  },
  'pin-wrong': {
    holder: { ja: '暗証番号が違います', en: 'Wrong PIN' },
    operator: { ja: '暗証番号の誤り', en: 'Wrong PIN' },
  },
  'pin-blocked': {
    holder: {
      ja: '暗証番号がロックされています。窓口へお越しください',
      en: 'PIN is locked. Please ask at the desk',
    },
    operator: { ja: '暗証番号がロックされている', en: 'PIN is blocked on the card' },
  },
  'pin-withheld': {
    holder: {
      ja: '暗証番号の残り回数が少なくなっています。窓口へお越しください',
      en: 'Too few PIN tries left. Please ask at the desk',
    },
    operator: {
      ja: '残り回数がプロファイルの下限未満のため照合しなかった',
      en: 'Fewer PIN tries left than the profile allows to spend',
    },
  },
  'pin-not-entered': {
    holder: { ja: '暗証番号が入力されませんでした', en: 'No PIN was entered' },
    operator: { ja: '暗証番号の未入力（時間切れ・取消）', en: 'PIN entry timed out or was cancelled' },
  },
  'pin-unavailable': {
    holder: seeDesk,
    operator: {
      ja: '暗証番号を照合できない（テンキーなし・カード非対応）',
      en: 'PIN cannot be verified here (no pin pad, or not on this card)',
    },
  },
  'card-refused': {
    holder: again,
    operator: {
      ja: 'カードの認証または読取りが不正',
      en: 'The card failed authentication or gave a bad answer',
    },
  },
  'card-silent': {
    holder: again,
    operator: {
      ja: 'カードが1回のコマンドに制限時間内に応答しなかった',
      en: 'The card did not answer a command in time',
    },
  },
  'card-key-missing': {
    holder: seeDesk,
    operator: {
      ja: 'このカードの鍵がこの端末にない（鍵バージョンはログに記録）',
      en: 'This terminal has no key for the card; the entry names its key version',
    },
  },
  'reading-too-slow': {
    holder: again,
    operator: {
      ja: '読取り全体の制限時間を超えた（中継の疑い）',
      en: 'The whole reading took longer than its deadline (perhaps relayed)',
    },
  },
  'timing-unusual': {
    holder: again,
    operator: {
      ja: '認証の応答が異常に遅い（中継の疑い）',
      en: 'The card took unusually long to authenticate (perhaps relayed)',
    },
  },
  'policy-absent': {
    holder: seeDesk,
    operator: { ja: '許可がまだ登録されていない', en: 'No policy is installed' },
  },
  'reader-virtual': {
    holder: seeDesk,
    operator: { ja: '仮想リーダーは利用できない', en: 'Virtual readers are refused' },
  },
  'too-late': {
    holder: again,
    operator: { ja: '判定と解錠の制限時間を超えた', en: 'The deadline of the decision passed' },
  },
  fault: {
    holder: { ja: '障害のため利用できません', en: 'Out of order' },
    operator: { ja: '障害', en: 'Fault' },
  },
  escort: {
    holder: { ja: '付添いの方のカードをかざしてください', en: 'Please have your escort hold their card' },
    operator: { ja: '付添い者を待っている', en: 'Waiting for an escort' },
  },
  'second-person': {
    holder: { ja: '次の方がかざしてください', en: 'Next person, please hold your card' },
    operator: { ja: '二人目を待っている', en: 'Waiting for a second person' },
  },
};

/** The words for a decision; PIN needs read as a request. */
export function decisionText(decision: Decision, language: Language, audience: Audience): string {
  if (decision.kind === 'granted') return language === 'ja' ? '許可' : 'Granted';
  if (decision.kind === 'needs') return language === 'ja' ? '暗証番号を入力してください' : 'Enter your PIN';
  return reasonText(decision.reason, language, audience);
}

/** Whether the holder is asked to hold the card again, in words and by the sign at the reader. */
export function asksToHoldAgain(reason: DenialReason): boolean {
  return reasons[reason].holder === again;
}

/** The words for a reason to deny or to wait. */
export function reasonText(
  reason: DenialReason | WaitReason,
  language: Language,
  audience: Audience,
): string {
  return reasons[reason][audience][language];
}
