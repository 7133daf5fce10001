/** What happened so far, in order, and a way to wait for what is to come without looking again and again. */
export class Seen<T> {
  readonly all: T[] = [];
  #watchers: { readonly holds: (all: readonly T[]) => boolean; readonly resolve: () => void }[] = [];

  readonly add = (value: T): void => {
    this.all.push(value);
    this.#watchers = this.#watchers.filter(({ holds, resolve }) => {
      if (!holds(this.all)) return true;
      resolve();
      return false;
    });
  };

  /** Resolves once `holds`, at once where it does already. */
  until(holds: (all: readonly T[]) => boolean): Promise<void> {
    if (holds(this.all)) return Promise.resolve();
    return new Promise((resolve) => this.#watchers.push({ holds, resolve }));
  }

  atLeast(count: number): Promise<void> {
    return this.until((all) => all.length >= count);
  }

  last(): T | undefined {
    return this.all.at(-1);
  }
}
