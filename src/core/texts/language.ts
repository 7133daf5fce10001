export const languages = ['ja', 'en'] as const;
export type Language = (typeof languages)[number];

/** One text in every language. */
export type Text = { readonly [language in Language]: string };
