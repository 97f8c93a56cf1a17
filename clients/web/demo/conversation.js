// What stands in the conversation, and what becomes of one's own messages. No DOM, no clock, no socket.

/** The server keeps more; a browser need not show them all. */
const MOST = 400;
const MOST_ANSWERS = 40;

/**
 * Entries are messages and answers of the assistant. A message of one's own has a ``state``: "waiting" (for a
 * connection), "sending", "queued" (the server has it, and will store it), "stored" or "refused"; ``text`` of what the
 * server said to it is in ``why``. ``version`` grows whenever anything in an entry changes.
 */
export class Conversation {
  #me;
  #entries = new Map();
  #count = 0;

  constructor(me) {
    this.#me = me;
  }

  /** In the order in which they were said; what the server has not confirmed comes last. */
  get entries() {
    const entries = [...this.#entries.values()];
    return entries.sort((one, other) => one.at - other.at || one.number - other.number).slice(-MOST);
  }

  /** Own messages of which it is not certain that they are stored, the oldest first. */
  get unsettled() {
    return this.#own().filter(({ state }) => state !== "stored" && state !== "refused");
  }

  /** Something that somebody said: live, or from the history. */
  hear({ id, author, text, at }) {
    const isMine = author === this.#me;
    const known = this.#entries.get(keyOf(author, id));
    if (known === undefined) {
      this.#add({ key: keyOf(author, id), kind: "message", id, author, text, at, isMine, state: isMine ? "stored" : "" });
    } else if (known.at !== at && known.state !== "refused") {
      this.#change(known, { at });
    }
  }

  write(id, text, isConnected) {
    const state = isConnected ? "sending" : "waiting";
    const key = keyOf(this.#me, id);
    this.#add({ key, kind: "message", id, author: this.#me, text, at: Infinity, isMine: true, state });
  }

  /** What the server says has become of a message; ``now`` in Unix seconds. */
  acknowledge({ id, state, text: why = "" }, now) {
    const known = this.#entries.get(keyOf(this.#me, id));
    if (known !== undefined && known.state !== "stored") {
      this.#change(known, { state, why, at: known.at === Infinity && state !== "refused" ? this.#next(now) : known.at });
    }
  }

  /** A refused message is to be tried again. */
  retry(id, isConnected) {
    const known = this.#entries.get(keyOf(this.#me, id));
    if (known?.state === "refused") {
      this.#change(known, { state: isConnected ? "sending" : "waiting", why: "", at: Infinity });
    }
  }

  /** There is a connection: what is unsettled is on its way. */
  connected() {
    for (const each of this.unsettled) {
      this.#change(each, { state: "sending", why: "" });
    }
  }

  /** There is none: nothing is on its way, and no answer will come any more. */
  disconnected() {
    for (const each of this.unsettled) {
      this.#change(each, { state: "waiting", why: "" });
    }
    for (const each of this.#entries.values()) {
      if (each.kind === "answer" && each.text === null && !each.isBroken) {
        this.#change(each, { isBroken: true });
      }
    }
  }

  /** One step of the assistant; the answer itself is the last. */
  assistant({ event, run, question, tool, result, text, degraded = "" }, now) {
    const key = `answer ${run}`;
    if (event === "agent_started") {
      const at = this.#next(now);
      this.#add({ key, kind: "answer", question, steps: [], text: null, degraded: "", isBroken: false, at });
      return;
    }
    const known = this.#entries.get(key);
    if (known === undefined) {
      return;
    }
    if (event === "tool_executing" || event === "agent_thinking") {
      this.#change(known, { steps: [...known.steps, { name: tool ?? "thinking", result: null, degraded: "" }] });
    } else if (event === "tool_completed") {
      const done = { name: tool, result, degraded };
      this.#change(known, { steps: known.steps.map((step) => (step.name === tool ? done : step)) });
    } else if (event === "agent_completed") {
      this.#change(known, { steps: known.steps.filter(({ name }) => name !== "thinking"), text, degraded });
    }
  }

  /** What the server cannot give back after a reload: what it may not have, and what the assistant said to us alone. */
  kept() {
    const own = this.#own().filter(({ state }) => state !== "stored");
    const answers = [...this.#entries.values()].filter(({ kind, text }) => kind === "answer" && text !== null);
    // Infinity is no JSON: what has no time yet is written down without one.
    return [...own, ...answers.slice(-MOST_ANSWERS)].map(({ at, ...entry }) => (at === Infinity ? entry : { ...entry, at }));
  }

  restore(entries) {
    for (const { at = Infinity, ...entry } of entries) {
      const state = entry.state === "sending" ? "waiting" : entry.state;
      this.#add({ ...entry, ...(entry.kind === "message" && { state }), at });
    }
  }

  #own() {
    return [...this.#entries.values()]
      .filter(({ kind, isMine }) => kind === "message" && isMine)
      .sort((one, other) => one.number - other.number);
  }

  #add(entry) {
    this.#entries.set(entry.key, { why: "", ...entry, number: (this.#count += 1), version: 1 });
  }

  #change(entry, changes) {
    this.#entries.set(entry.key, { ...entry, ...changes, version: entry.version + 1 });
  }

  // Now, but not before anything that was said: the clock here may be behind the server's.
  #next(now) {
    return [...this.#entries.values()].reduce((last, { at }) => (at < Infinity ? Math.max(last, at) : last), now);
  }
}

function keyOf(author, id) {
  return `message ${JSON.stringify([author, id])}`;
}
