import { describe, it } from 'vitest';

/** By what they tell; at least one. */
export interface Stories {
  readonly [title: string]: () => Promise<void>;
}

/** What docs/rules.md promises of one row of its tables. */
export interface RuleStories {
  readonly passes: Stories;
  /** with the reason that the row gives */
  readonly denies: Stories;
  readonly afterReboot: Stories;
  readonly untrustedClock: Stories;
}

const headings: readonly (readonly [keyof RuleStories, string])[] = [
  ['passes', 'lets pass'],
  ['denies', 'denies'],
  ['afterReboot', 'after a reboot'],
  ['untrustedClock', 'with an untrusted clock'],
];

/**
 * Tells the stories of the rows of `section` of docs/rules.md, each under the text of its first cell, without the marks
 * of code. coverage.test.ts reads these calls in the source, so their names are written out.
 */
export function rulesOf(section: string): (name: string, stories: RuleStories) => void {
  return (name, stories) => {
    describe(`${section}: ${name}`, () => {
      for (const [part, heading] of headings) {
        const told = Object.entries(stories[part]);
        if (told.length === 0) throw new Error(`${name}: nothing is told of what it ${heading}`);
        describe(heading, () => {
          for (const [title, story] of told) it(title, story);
        });
      }
    });
  };
}
