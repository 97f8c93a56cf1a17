// A copy of what the server knows, kept current by the server's messages. No DOM, no clock, no socket.
//
// The rules are the protocol's: a welcome, waiting or snapshot replaces everything; a notice moves one service and some
// features on, as does news of planned work; what is not newer than what is known is dropped. Revisions may have holes
// for a client, because some services are not announced. Unknown message types and fields are ignored, and so is a
// message without what it needs.

/** The version of the protocol that this speaks. */
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

  /**
   * Takes one decoded message. Returns what a user is told has happened, oldest first.
   * @param {any} message
   * @returns {import("./index.js").Happening[]}
   */
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
      const isNews = before === null ? isUnwell(service) : known?.status !== service.status;
      if (isNews && !(before !== null && known === undefined && service.status === "up")) {
        const kind = becameKind(service.status, known?.status);
        happened.push(happening(kind, { at: service.since ?? message.at, service, isFound: true }));
      }
    }
    happened.sort((one, other) => Date.parse(one.at) - Date.parse(other.at));
    if (before !== null && this.feed !== feedBefore) {
      happened.push(happening("feed", { at: message.at, feed: this.feed }));
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
    const { kind, at, service, text, lang, incident } = message;
    return [happening(kind, { at, service, features, text, lang, incident, isLocal: message.local === true })];
  }

  #plan(message) {
    const isWhole = isPosition(message.position) && areViews([message.service]);
    if (!this.isLoaded || !isWhole || !this.#isNewer(message)) {
      return [];
    }
    const { at, service, text, lang } = message;
    this.services.set(service.name, service);
    return message.quiet === true || !text ? [] : [happening("planned", { at, service, text, lang })];
  }

  // Whether a message is the next in the order; if so, this is where the replica is now.
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
    const { at, feed, text, lang } = message;
    this.feed = feed;
    return [happening("feed", { at, feed, text, lang })];
  }
}

/** @param {{status?: string}} service */
export function isUnwell({ status }) {
  return status === "down" || status === "degraded";
}

function happening(kind, { at, service = null, features = [], text = "", lang = "en", ...more }) {
  return { kind, at, service, features, text, lang, incident: "", feed: "", isLocal: false, isFound: false, ...more };
}

function byName(views) {
  return new Map(views.map((view) => [view.name, view]));
}

/** @param {unknown} views */
export function areViews(views) {
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
