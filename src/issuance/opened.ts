/**
 * What is opened for each organization when it is first asked for, and once. What did not open, or is not there
 * (undefined), is tried again by whoever asks next.
 */
export class Opened<T> {
  readonly #open: (organization: string) => Promise<T>;
  readonly #known = new Map<string, Promise<T>>();

  constructor(open: (organization: string) => Promise<T>) {
    this.#open = open;
  }

  /** Resolves and rejects as opening does. */
  of(organization: string): Promise<T> {
    let found = this.#known.get(organization);
    if (!found) {
      found = this.#open(organization);
      this.#known.set(organization, found);
      const forget = () => this.#known.delete(organization);
      found.then((one) => one ?? forget(), forget);
    }
    return found;
  }

  /** Those that are open, once those that are being opened are. */
  async all(): Promise<readonly (readonly [organization: string, one: NonNullable<T>])[]> {
    const opening = [...this.#known].map(async ([organization, one]) => [organization, await one] as const);
    return (await Promise.allSettled(opening)).flatMap((settled) => {
      const [organization, one] = settled.status === 'fulfilled' ? settled.value : [];
      return organization !== undefined && one ? [[organization, one] as const] : [];
    });
  }
}
