const paths = {
  lock: 'M7 11V8a5 5 0 0 1 10 0v3M5 11h14v10H5zM12 15v3',
  unlock: 'M7 11V8a5 5 0 0 1 9.6-2M5 11h14v10H5zM12 15v3',
  check: 'm5 12.5 4.5 4.5L19 7.5',
  cross: 'M6 6l12 12M18 6 6 18',
  again: 'M4 12a8 8 0 1 1 2.6 5.9M4 19v-5h5',
  keypad:
    'M5 5h3v3H5zM10.5 5h3v3h-3zM16 5h3v3h-3zM5 10.5h3v3H5zM10.5 10.5h3v3h-3zM16 10.5h3v3h-3zM10.5 16h3v3h-3z',
  alarm: 'M12 4 2.5 20h19zM12 10v5M12 17.6v.2',
  door: 'M6 21V3h12v18M3 21h18M14.5 12v1',
  reader: 'M4 7h10v10H4zM17 9a4.5 4.5 0 0 1 0 6M19.5 6.5a8.5 8.5 0 0 1 0 11',
  terminal: 'M3 5h18v12H3zM8 21h8M12 17v4',
  policy: 'M6 3h9l4 4v14H6zM9 11h7M9 15h7',
  clock: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 7v5l3.5 2',
  waves: 'M8.5 9a4.5 4.5 0 0 1 0 6M12 6.5a8.5 8.5 0 0 1 0 11M15.5 4a12.5 12.5 0 0 1 0 16',
  grip: 'M9 6v.1M15 6v.1M9 12v.1M15 12v.1M9 18v.1M15 18v.1',
  dots: 'M6 12v.1M12 12v.1M18 12v.1',
} as const;
export type IconName = keyof typeof paths;

/** A drawn sign; always beside words, so it is hidden from assistive technology. */
export function Icon({ name }: { readonly name: IconName }) {
  return (
    <svg className="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
    </svg>
  );
}
