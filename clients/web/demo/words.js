// The page's words, and how times are written.

const TOOLS = {
  search_history: ["Looks into the conversation", "Looked into the conversation"],
  usage_report: ["Reads the usage report", "Read the usage report"],
};

/** A step of the assistant, as it happens and when it is done. */
export function stepWords({ name, result, degraded }) {
  if (name === "thinking") {
    return "Thinks";
  }
  const [doing, done] = TOOLS[name] ?? [name, name];
  return result === null ? doing : `${done}: ${degraded || result}`;
}

/** What became of a message of one's own: an icon, and words. */
export function stateWords({ state, why }) {
  switch (state) {
    case "waiting":
      return { icon: "clock", text: "Waits for the connection" };
    case "sending":
      return { icon: "clock", text: "Sending" };
    case "queued":
      return { icon: "tray", text: why };
    case "refused":
      return { icon: "alert", text: why || "Not sent" };
    default:
      return { icon: "check", text: "Stored" };
  }
}

export function historyWords(history, isEmpty) {
  switch (history) {
    case "incomplete":
      return "The message archive is away: this is only what was said here lately. The rest follows by itself.";
    case "unavailable":
      return isEmpty
        ? "What was said before cannot be read right now: the message archive is away. It follows by itself."
        : "What was said before this cannot be read right now. It follows by itself.";
    default:
      return "";
  }
}

/** The connection, in a word or two. */
export function connectionWords(client, isJoined) {
  if (isJoined) {
    return { level: "up", text: "Connected" };
  }
  if (client.isOffline) {
    return { level: "unknown", text: "Offline" };
  }
  if (client.standing === "refused") {
    return { level: "down", text: "Not let in" };
  }
  if (client.connection === "ended" || client.connection === "outdated") {
    return { level: "down", text: "Ended" };
  }
  return { level: "degraded", text: client.isLoaded || client.closeCode !== null ? "Reconnecting" : "Connecting" };
}

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { weekday: "long", day: "numeric", month: "long" });
const WHOLE = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "medium" });

/** ``at`` is in Unix seconds, in all of these. */
export function clock(at) {
  return CLOCK.format(at * 1000);
}

export function wholeTime(at) {
  return WHOLE.format(at * 1000);
}

export function day(at, now = Date.now() / 1000) {
  const ago = Math.round((midnight(now) - midnight(at)) / 86_400_000);
  return ago === 0 ? "Today" : ago === 1 ? "Yesterday" : DAY.format(at * 1000);
}

export function countdown(until, now = Date.now()) {
  const seconds = Math.max(0, Math.ceil((until - now) / 1000));
  return seconds > 0 ? `Next try in ${seconds} s` : "Trying now";
}

/** Words of the server as a sentence. */
export function sentence(text) {
  const words = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(words) ? words : `${words}.`;
}

function midnight(at) {
  return new Date(at * 1000).setHours(0, 0, 0, 0);
}
