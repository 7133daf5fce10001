import type { PathStep } from '#core/access/decision.ts';
import type { RuleName } from '#core/access/rule.ts';
import type { Text } from './language.ts';

/** What each rule of the precedence table looks at, for the operator. */
export const ruleTexts: { readonly [rule in RuleName]: Text } = {
  registration: { ja: '登録（カードと利用者）', en: 'registration of card and holder' },
  assurance: { ja: '認証強度', en: 'assurance' },
  evacuation: { ja: '避難', en: 'evacuation' },
  lockdown: { ja: '閉鎖', en: 'lockdown' },
  'master-card': { ja: 'マスターカード', en: 'master card' },
  'threat-level': { ja: '警戒レベル', en: 'threat level' },
  'policy-age': { ja: '許可の古さ', en: 'age of the policy' },
  permission: { ja: '許可', en: 'permission' },
  'longer-access': { ja: '長い通行時間', en: 'longer access time' },
  hold: { ja: '開放の保持', en: 'holding the door unlocked' },
  'reader-lock-out': { ja: 'リーダーの一時停止', en: 'lock-out of the reader' },
  'holder-lock-out': { ja: '利用者の一時停止', en: 'lock-out of the holder' },
  duress: { ja: '脅迫', en: 'duress' },
  passback: { ja: 'アンチパスバック', en: 'anti-passback' },
  reentry: { ja: '再入場の間隔', en: 'time before entering again' },
  occupancy: { ja: '在室人数', en: 'occupancy' },
  'two-person': { ja: '二人ルール', en: 'two persons' },
  escort: { ja: '付添い', en: 'escort' },
  position: { ja: '居場所の記録', en: 'where people are' },
  service: { ja: 'サービス', en: 'service' },
};

/** What a rule found. */
export const verdictTexts: { readonly [verdict in PathStep['verdict']]: Text } = {
  passed: { ja: '通過', en: 'passed' },
  denied: { ja: '拒否', en: 'denied' },
  needs: { ja: '暗証番号が必要', en: 'needs a PIN' },
  waits: { ja: '待機', en: 'waits' },
  outranked: { ja: '反対したが上位のルールが優先', en: 'objected, outranked by a rule above' },
};
