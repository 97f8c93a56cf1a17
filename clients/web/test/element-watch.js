// A reader of the element without the element: a real client on a clock of its own, and the story that goes on.

import { makeWords } from "../src/element/words.js";
import { present } from "../src/element/present.js";
import { follow } from "../src/element/story.js";
import { AvailabilityClient } from "../src/index.js";
import { settle, World } from "./world.js";

export const FEATURES = [
  { name: "chat", title: "Chat", status: "available", text: "", because: [] },
  { name: "reports", title: "Usage reports", status: "unavailable", text: "Reports are paused.", because: ["analytics"] },
];

export class Watch {
  story = new Map();
  said = new Map();
  sending = "";
  only = null;
  dismissed = {};
  heldUntil = 0;
  skew = 0;

  /** Connected, and told ``first``. */
  static async start(first, options = {}) {
    const watch = Object.assign(new Watch(), options);
    watch.world = new World();
    watch.page = watch.world.tab();
    watch.client = new AvailabilityClient("/ws", { share: false, environment: watch.page.environment });
    watch.client.addEventListener("notice", ({ detail }) => watch.said.set(detail.service.name, detail));
    watch.client.connect().catch(() => {});
    await settle();
    watch.say(first);
    watch.skew = Date.parse(first.at) - watch.world.time;
    return watch;
  }

  say(...messages) {
    this.world.last.say(...messages);
  }

  /** What is shown now. */
  view(options = {}) {
    const now = this.world.time;
    const { client, said, sending, only, skew, dismissed } = this;
    const services = [...client.services.values()].filter(({ name }) => !only || only.includes(name));
    const state = { client, services, said, sending, skew };
    this.story = state.story = follow(this.story, state, now, this.heldUntil);
    return present(state, { words: makeWords(), mode: "banner", dismissed, ...options }, now);
  }

  /** What is shown after a while in which the element looks once a second. */
  async pass(milliseconds, options = {}) {
    for (let left = milliseconds; left > 0; left -= 1_000) {
      this.view(options);
      await this.world.pass(Math.min(left, 1_000));
    }
    return this.view(options);
  }

  /** Each notice that is shown, in one string. */
  lines(options = {}) {
    return this.view(options).map(told);
  }

  dismiss(index = 0) {
    const { key, rank } = this.view()[index];
    this.dismissed = { ...this.dismissed, [key]: { at: this.world.time, rank } };
  }
}

export function told({ label, headline, details, sending, when }) {
  return [label ? `${label}: ${headline}` : headline, ...details, sending, when].filter(Boolean).join(" | ");
}
