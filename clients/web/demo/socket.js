// The chat's one socket carries what people say and what happens to services. An AvailabilityClient holds it, so that
// all its rules for coming back are the chat's, too; this class takes apart what the socket carries.

/**
 * A class to give an AvailabilityClient in place of WebSocket. ``hear(event, socket)`` gets every event of the chat, as
 * long as the client holds on to the socket that it came by.
 */
export function carrying(hear, WebSocket = globalThis.WebSocket) {
  return class ChatSocket {
    onmessage = null;
    onclose = null;
    #socket;
    #isLeft = false;

    constructor(url, protocols) {
      this.#socket = new WebSocket(url, protocols);
      this.#socket.onmessage = ({ data }) => this.#heard(data);
      this.#socket.onclose = ({ code, reason }) => this.onclose?.({ code, reason });
    }

    send(event) {
      this.#socket.send(JSON.stringify(event));
    }

    close(code) {
      this.#isLeft = true;
      this.#socket.close(code);
    }

    #heard(data) {
      const event = this.#isLeft ? null : parsed(data);
      if (event === null) {
        return;
      }
      // The client needs every message, as each shows that the server is there; it heeds only those of the protocol.
      this.onmessage?.({ data: event.event === "notice" ? JSON.stringify(event.notice) : data });
      if (event.event !== undefined && event.event !== "notice" && !this.#isLeft) {
        hear(event, this);
      }
    }
  };
}

function parsed(data) {
  try {
    const event = JSON.parse(data);
    return typeof event === "object" ? event : null;
  } catch {
    return null;
  }
}
