/** Erases the keys that a device holds, for good: somebody is opening it. */
export interface KeyErasure {
  /** Drops every key from memory at once, then destroys what is stored. Rejects with what could not be destroyed. */
  erase(): Promise<void>;
}
