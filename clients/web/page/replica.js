// The page's copy of what the server knows, kept current by the server's messages. No DOM, no clock, no socket.
//
// The rules are the protocol's: a welcome, waiting or snapshot replaces everything; a notice moves one service and some
// features on, as does news of planned work; what is not newer than what is known is dropped. Revisions may have holes for a client, because
// some services are not announced. Unknown message types and fields are ignored, and so is a message without what it needs.

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
      case "waiting":
      case "snapshot":
        return this.#replace(message);
      case "notice":
        return this.#move(message);
      case "planned":
        return this.#plan(message);
      case "feed":
        return this.#refresh(message);
      default:
        return [];
    }
  }

  #replace(message) {
    const services = message.services ?? [];
    const features = message.features ?? [];
    if (!isPosition(message.position) || !areViews(services) || !areViews(features)) {
      return [];
    }
    const before = this.isLoaded ? this.services : null;
    const feedBefore = this.feed;
    this.position = message.position;
    this.services = byName(services);
    this.features = byName(features);
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
    const features = message.features ?? [];
    const isWhole = isPosition(message.position) && areViews([message.service]) && areViews(features);
    if (!this.isLoaded || !isWhole) {
      return [];
    }
    if (!message.local && !this.#isNewer(message)) {
      return [];
    }
    this.services.set(message.service.name, message.service);
    for (const feature of features) {
      this.features.set(feature.name, feature);
    }
    if (message.quiet === true) {
      return [];
    }
    const affects = features.map((feature) => ({ title: title(feature), status: feature.status }));
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

  #plan(message) {
    const isWhole = isPosition(message.position) && areViews([message.service]);
    if (!this.isLoaded || !isWhole || !this.#isNewer(message)) {
      return [];
    }
    this.services.set(message.service.name, message.service);
    if (message.quiet === true || !message.text) {
      return [];
    }
    return [{ kind: "planned", title: title(message.service), at: message.at, text: message.text, affects: [] }];
  }

  // Whether a message is the next in the order; if so, this is where the page is now.
  #isNewer({ position }) {
    if (position.epoch === this.position.epoch && position.revision <= this.position.revision) {
      return false;
    }
    this.position = position;
    return true;
  }

  #refresh(message) {
    if (typeof message.feed !== "string" || message.feed === this.feed) {
      return [];
    }
    this.feed = message.feed;
    return [{ kind: "feed", at: message.at, feed: message.feed, text: message.text ?? "", affects: [] }];
  }
}

function byName(views) {
  return new Map(views.map((view) => [view.name, view]));
}

function areViews(views) {
  return Array.isArray(views) && views.every((view) => typeof view?.name === "string");
}

function isPosition(position) {
  return typeof position?.epoch === "string" && Number.isInteger(position.revision);
}

function becameKind(status, previous) {
  if (status === "up") {
    return previous === "down" || previous === "degraded" ? "recovered" : "up";
  }
  return status;
}
