// One person in one room: the connection, what is said over it, and what was said before.

import { AvailabilityClient } from "./sdk/index.js";
import { Conversation } from "./conversation.js";
import { carrying } from "./socket.js";
import { sending } from "./sending.js";

const HEARTBEAT_MS = 10_000;
const SIGN_IN_AGAIN = 3500;
const RECALL_MS = 4_000;

/** Says "change" for whatever is to be drawn again, and "signed-out" where the token is not valid any more. */
export class Chat extends EventTarget {
  #keep;
  #socket = null;
  #archiveRefusal = "";
  #isAsking = false;
  #recalling = 0;

  /** ``kept`` is what an earlier page has left of this conversation, ``keep(entries)`` keeps it for a later one. */
  constructor({ token, name, room }, { kept = [], keep = () => {} } = {}) {
    super();
    this.name = name;
    this.room = room;
    this.conversation = new Conversation(name);
    this.conversation.restore(kept);
    /** "loading", "complete", "incomplete" (the archive is away) or "unavailable". */
    this.history = "loading";
    this.#keep = keep;
    const address = new URL("ws", document.baseURI);
    address.search = new URLSearchParams({ token, room, notices: "1" });
    this.client = new AvailabilityClient(address, {
      locale: "en", // as the rest of the page
      share: false, // every tab is a person of its own
      pauseHidden: false, // a chat out of sight is still a chat
      heartbeatMs: HEARTBEAT_MS,
      environment: { WebSocket: carrying((event, socket) => this.#heard(event, socket)) },
    });
    this.client.addEventListener("connection", () => this.#connectionChanged());
    this.client.addEventListener("change", () => this.#changed());
    this.client.connect().catch(() => {}); // "connection" has told it
    this.recall();
  }

  get isJoined() {
    return this.#socket !== null;
  }

  get sending() {
    const waiting = this.conversation.unsettled.filter(({ state }) => state === "waiting").length;
    return sending(this.client, { isJoined: this.isJoined, waiting, archiveRefusal: this.#archiveRefusal });
  }

  /** Sends it, or keeps it until there is a connection. False where it is neither. */
  say(text) {
    if (this.sending.mode === "blocked") {
      return false;
    }
    const id = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`; // plain http has no randomUUID
    this.conversation.write(id, text, this.isJoined);
    this.#send(id, text);
    this.#keepAll();
    return true;
  }

  sayAgain({ id, text }) {
    this.conversation.retry(id, this.isJoined);
    this.#send(id, text);
    this.#keepAll();
  }

  /** Reads the history; as long as there is a connection, until it is complete. */
  async recall() {
    if (this.#isAsking) {
      return;
    }
    this.#isAsking = true;
    clearTimeout(this.#recalling);
    try {
      const answer = await fetch(new URL(`history/${encodeURIComponent(this.room)}`, document.baseURI));
      if (!answer.ok) {
        throw new Error(`status ${answer.status}`);
      }
      const { messages, is_complete: isComplete } = await answer.json();
      messages.forEach((message) => this.conversation.hear(message));
      this.history = isComplete ? "complete" : messages.length ? "incomplete" : "unavailable";
    } catch {
      this.history = this.history === "complete" ? "complete" : "unavailable"; // what is shown stays true
    }
    this.#isAsking = false;
    if (this.history !== "complete" && this.isJoined) {
      this.#recalling = setTimeout(() => this.recall(), RECALL_MS * (0.75 + Math.random() / 2));
    }
    this.#changed();
  }

  leave() {
    this.#socket = null;
    clearTimeout(this.#recalling);
    this.client.close();
  }

  #heard(event, socket) {
    switch (event.event) {
      case "joined":
        this.#joined(socket);
        break;
      case "message":
        this.conversation.hear(event);
        break;
      case "ack":
        this.#acknowledged(event);
        break;
      default:
        this.conversation.assistant(event, Date.now() / 1000);
    }
    this.#keepAll();
  }

  #joined(socket) {
    this.#socket = socket;
    this.conversation.connected();
    for (const { id, text } of this.conversation.unsettled) {
      this.#send(id, text); // perhaps once more: the server keeps an id once
    }
    this.recall();
  }

  #acknowledged(event) {
    this.conversation.acknowledge(event, Date.now() / 1000);
    if (event.reason === "full") {
      this.#archiveRefusal = event.text;
    } else if (event.state !== "refused") {
      this.#archiveRefusal = "";
    }
  }

  #send(id, text) {
    this.#socket?.send({ event: "say", id, text });
  }

  #connectionChanged() {
    const { connection, closeCode } = this.client;
    if (connection !== "open" && this.#socket !== null) {
      this.#socket = null;
      this.conversation.disconnected();
      this.#keepAll();
    }
    if (connection === "ended" && closeCode === SIGN_IN_AGAIN) {
      this.dispatchEvent(new Event("signed-out"));
    }
  }

  #keepAll() {
    this.#keep(this.conversation.kept());
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
