import { doorSettingsSchema } from '#core/access/door-settings.ts';
import type { CardProfile } from '#core/card/profile.ts';
import type { TerminalSettings } from '#terminal/terminal.ts';
import type { DoorPlan } from './site-parts.ts';

/** The simulated building: a front entrance for everybody, and a room for staff. Slots of vpcd are its readers. */
export const sitePlan: readonly DoorPlan[] = [
  {
    doorId: 'front',
    readerId: 'front-reader',
    deviceName: 'Virtual PCD 00 00',
    title: { ja: '正面玄関', en: 'Front entrance' },
    demand: { ja: 'Type A・C・D', en: 'Type A, C or D' },
    // a visitor's few taps teach it nothing: the limit alone tells the relayed card, at once
    timing: { mode: 'observe', factor: 8, limitUs: 400_000 },
  },
  {
    doorId: 'server-room',
    readerId: 'server-room-reader',
    deviceName: 'Virtual PCD 00 01',
    title: { ja: 'サーバ室', en: 'Server room' },
    demand: { ja: 'Type A（職員のみ）', en: 'Type A, staff only' },
  },
];

/** The wiring of the terminal at a door. Times are short, so that a visitor need not wait for an alarm. */
export function siteSettings(
  { doorId, readerId, deviceName, timing }: DoorPlan,
  profiles: readonly CardProfile[],
): TerminalSettings {
  const settings = doorSettingsSchema.parse({
    contact: 'fitted',
    strikeMs: 5_000,
    heldOpenAfterMs: 9_000,
    preAlarmMs: 4_000,
  });
  return {
    // each door has a terminal of its own
    terminalId: doorId,
    readers: [{ readerId, readerName: deviceName, doorId, ...(timing && { timing }) }],
    doors: [{ doorId, settings }],
    pin: {
      timeoutMs: 45_000,
      digits: new Map(profiles.flatMap(({ id, pin }) => (pin ? [[id, pin] as const] : []))),
    },
    decisionDeadlineMs: 5_000,
    interlocks: [],
    automation: { rules: [], inputs: [], outputs: [] },
    virtualReaders: 'allowed',
  };
}
