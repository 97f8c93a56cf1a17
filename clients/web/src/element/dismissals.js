// What a reader has dismissed, in every tab and over reloads. Where the browser stores nothing, for this page's life.

const LIMIT = 50;

export class Dismissals {
  #name;
  #storage;
  #kept = {};

  /** ``storage`` gives the browser's; asking for it may throw. */
  constructor(name, storage = () => localStorage) {
    this.#name = name;
    this.#storage = storage;
  }

  /** By key: when it was dismissed, and how bad it was (``at``, ``rank``). */
  get all() {
    try {
      this.#kept = JSON.parse(this.#storage().getItem(this.#name)) ?? this.#kept;
    } catch {
      // no storage, or what is there is not ours
    }
    return this.#kept;
  }

  add(key, rank, at) {
    const all = Object.entries({ ...this.all, [key]: { at, rank } });
    this.#kept = Object.fromEntries(all.sort(([, one], [, other]) => other.at - one.at).slice(0, LIMIT));
    try {
      this.#storage().setItem(this.#name, JSON.stringify(this.#kept));
    } catch {
      // full or forbidden
    }
  }
}
