// What a reader has dismissed, in every tab and over reloads. Where the browser stores nothing, for this page's life.

/** ``storage`` gives the browser's; asking for it may throw. */
export function makeDismissals(name, storage = () => localStorage) {
  let kept = {};
  return {
    /** By key: when it was dismissed, and how bad it was (``at``, ``rank``). */
    all() {
      try {
        kept = JSON.parse(storage()[name]) ?? kept;
      } catch {
        // no storage, or what is there is not ours
      }
      return kept;
    },
    add(key, rank, at) {
      const { [key]: _, ...others } = this.all();
      kept = Object.fromEntries([...Object.entries(others), [key, { at, rank }]].slice(-50));
      try {
        storage()[name] = JSON.stringify(kept);
      } catch {
        // full or forbidden
      }
    },
  };
}
