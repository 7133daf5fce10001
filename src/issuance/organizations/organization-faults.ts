import { type Fault, isFault } from '#core/fault.ts';

/** Tells faults of organizations: each once, and again after one of another kind, or after none. */
export class OrganizationFaults {
  readonly #told = new Map<string, string>();
  readonly #tell: (organization: string, fault: Fault) => void;

  constructor(parts: { readonly tell: (organization: string, fault: Fault) => void }) {
    this.#tell = parts.tell;
  }

  /** Does `action` for each organization, one after another: a fault of one is told, and keeps nothing from the others. */
  async each<O extends { readonly id: string }>(
    organizations: readonly O[],
    action: (organization: O) => Promise<unknown>,
  ): Promise<void> {
    for (const organization of organizations) {
      try {
        await action(organization);
        this.#told.delete(organization.id);
      } catch (error) {
        if (!isFault(error)) throw error;
        if (this.#told.get(organization.id) === error.code) continue;
        this.#told.set(organization.id, error.code);
        this.#tell(organization.id, error);
      }
    }
  }
}
