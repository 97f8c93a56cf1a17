// What happens, for loops that read it one after the other, each at its own pace.

const BACKLOG = 1_000;

export class Readers {
  #all = new Set();
  #isOver = false;

  /** Gives this to every reader; one that is too far behind loses what it has waited with longest. */
  put(value) {
    for (const reader of this.#all) {
      reader.put(value);
    }
  }

  /** Ends every reader, once it has read what it has. */
  end() {
    this.#isOver = true;
    for (const reader of this.#all) {
      reader.end();
    }
  }

  /** An async iterator over what is put from now on. */
  open(signal) {
    const waiting = [];
    const ready = [];
    const done = { value: undefined, done: true };
    let isOver = this.#isOver || signal?.aborted === true;
    const reader = {
      put: (value) => {
        const first = waiting.shift();
        if (first) {
          first({ value, done: false });
        } else if (ready.push(value) > BACKLOG) {
          ready.shift();
        }
      },
      end: () => {
        isOver = true;
        this.#all.delete(reader);
        signal?.removeEventListener("abort", reader.end);
        for (const each of waiting.splice(0)) {
          each(done);
        }
      },
    };
    if (!isOver) {
      this.#all.add(reader);
      signal?.addEventListener("abort", reader.end);
    }
    return {
      next: async () => {
        if (ready.length) {
          return { value: ready.shift(), done: false };
        }
        return isOver ? done : new Promise((resolve) => waiting.push(resolve));
      },
      return: async (value) => {
        ready.length = 0;
        reader.end();
        return { value, done: true };
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }
}
