import { type RefObject, useLayoutEffect } from 'react';

const calm = () => matchMedia('(prefers-reduced-motion: reduce)').matches;

/**
 * Lets an element arrive from where another one is: it starts in the box of the element that `from` selects and
 * glides into its own place. Runs whenever `key` changes; nothing moves for visitors who prefer that.
 */
export function useArrival(element: RefObject<HTMLElement | null>, from: string | null, key: string): void {
  // biome-ignore lint/correctness/useExhaustiveDependencies: `key` says when; `from` only says whence
  useLayoutEffect(() => {
    const target = element.current;
    const origin = from ? document.querySelector(from) : null;
    if (!target || !origin || calm()) return;
    const a = origin.getBoundingClientRect();
    const b = target.getBoundingClientRect();
    if (a.width === 0 || b.width === 0) return;
    const dx = a.left + a.width / 2 - (b.left + b.width / 2);
    const dy = a.top + a.height / 2 - (b.top + b.height / 2);
    const flight = target.animate(
      [
        { transform: `translate(${dx}px, ${dy}px) scale(${a.width / b.width})`, zIndex: 5 },
        { transform: 'none', zIndex: 5 },
      ],
      { duration: 420, easing: 'cubic-bezier(.2,.8,.2,1)' },
    );
    return () => flight.cancel();
  }, [key]);
}
