// The page's copy of what the server knows, kept current by the server's messages. No DOM, no clock, no socket.
//
// The rules are the protocol's: a welcome or snapshot replaces everything; a notice moves one service and some
// features on; a notice that is not newer than what is known is dropped. Revisions may have holes for a client, because
// some services are not announced. Unknown message types and fields are ignored.

import { becameText, title } from "./words.js";

export const VERSION = 1;

export class Replica {
  constructor() {
    this.position = null;
    this.feed = "pending";
    this.services = new Map();
    this.features = new Map();
  }

  get isLoaded() {
    return this.position !== null;
  }

  // Takes one decoded message. Returns what happened, oldest first: [{kind, title, at, text, affects, before, local}].
  apply(message) {
    switch (message?.type) {
      case "welcome":
      case "snapshot":
        return this.#replace(message);
      case "notice":
        return this.#move(message);
      case "feed":
        return this.#refresh(message);
      default:
        return [];
    }
  }

  #replace(message) {
    const before = this.isLoaded ? this.services : null;
    const feedBefore = this.feed;
    this.position = message.position;
    this.services = byName(message.services);
    this.features = byName(message.features);
    this.feed = message.feed ?? "live";
    const happened = [];
    for (const service of this.services.values()) {
      const known = before?.get(service.name);
      const isNews = before === null ? ["down", "degraded"].includes(service.status) : known?.status !== service.status;
      if (isNews && !(before !== null && known === undefined && service.status === "up")) {
        happened.push({
          kind: becameKind(service.status, known?.status),
          title: title(service),
          at: service.since ?? message.at,
          text: becameText(service),
          affects: [],
          before: true,
        });
      }
    }
    happened.sort((one, other) => Date.parse(one.at) - Date.parse(other.at));
    if (before !== null && this.feed !== feedBefore) {
      happened.push({ kind: "feed", at: message.at, feed: this.feed, text: "", affects: [] });
    }
    return happened;
  }

  #move(message) {
    if (!this.isLoaded || typeof message.service?.name !== "string") {
      return [];
    }
    const { epoch, revision } = message.position;
    if (!message.local) {
      if (epoch === this.position.epoch && revision <= this.position.revision) {
        return [];
      }
      this.position = message.position;
    }
    this.services.set(message.service.name, message.service);
    for (const feature of message.features ?? []) {
      this.features.set(feature.name, feature);
    }
    const affects = (message.features ?? []).map((feature) => ({ title: title(feature), status: feature.status }));
    return [
      {
        kind: message.kind,
        title: title(message.service),
        at: message.at,
        text: message.text || becameText(message.service),
        affects,
        local: message.local === true,
      },
    ];
  }

  #refresh(message) {
    if (message.feed === this.feed) {
      return [];
    }
    this.feed = message.feed;
    return [{ kind: "feed", at: message.at, feed: message.feed, text: message.text ?? "", affects: [] }];
  }
}

function byName(views) {
  return new Map((views ?? []).map((view) => [view.name, view]));
}

function becameKind(status, previous) {
  if (status === "up") {
    return previous === "down" || previous === "degraded" ? "recovered" : "up";
  }
  return status;
}
