// What happens to a message that is sent now. Pure. Why it is so, and until when, the notices say.

/** Messages that wait in this browser at most. */
export const MOST_WAITING = 50;

const ARCHIVE = "postgres";
const FINE = { mode: "ok", reason: "" };

/**
 * ``mode`` is "ok", "queued" (kept, and sent or stored later) or "blocked" (it cannot be sent, and the draft is kept);
 * ``reason`` is what the composer says to it. ``archiveRefusal`` are the server's words when the archive took no more.
 * @param {import("../src/index.js").AvailabilityClient} client
 * @param {{isJoined: boolean, waiting: number, archiveRefusal: string}} chat
 */
export function sending(client, { isJoined, waiting, archiveRefusal }) {
  const { connection, standing, services } = client;
  if (connection === "outdated" || connection === "ended") {
    return blocked("The connection has ended, and nothing can be sent over it. Your draft is kept.");
  }
  if (!isJoined && standing === "refused") {
    return blocked("Nothing can be sent, as you are not let in right now. Your draft is kept.");
  }
  if (waiting >= MOST_WAITING) {
    return blocked(`${waiting} messages are waiting already, which is all that is kept here. Your draft is kept, too.`);
  }
  if (client.isOffline) {
    return queued("You are offline. What you send waits here, and goes out when you are back.");
  }
  if (!isJoined && !client.isFeedLost) {
    return { ...FINE, reason: "Connecting. What you send waits here until then." }; // for a moment, no more than a word
  }
  if (!isJoined) {
    return queued("There is no connection. What you send waits here, and goes out when there is one.");
  }
  if (services.get(ARCHIVE)?.status !== "down") {
    return FINE;
  }
  return archiveRefusal
    ? blocked(`${archiveRefusal} Your draft is kept.`)
    : queued("Everybody here reads what you send. It is stored as soon as the archive is back.");
}

function blocked(reason) {
  return { mode: "blocked", reason };
}

function queued(reason) {
  return { mode: "queued", reason };
}
