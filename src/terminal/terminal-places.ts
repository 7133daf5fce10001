import type { TerminalPlaces } from '#core/sync/view.ts';
import type { TerminalSettings } from './terminal.ts';

/** Where a terminal is: its doors, where its readers lead, and what taps at them are for. */
export function placesOf({ doors, readers }: Pick<TerminalSettings, 'doors' | 'readers'>): TerminalPlaces {
  const unique = (names: readonly (string | undefined)[]): string[] =>
    [...new Set(names)].filter((name) => name !== undefined).sort();
  return {
    doors: unique(doors.map(({ doorId }) => doorId)),
    zones: unique(readers.map(({ to }) => to)),
    services: unique(readers.map(({ service }) => service?.id)),
  };
}
