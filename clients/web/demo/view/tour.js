// What can be tried: which part of the sample to end, what is seen then, and the command for it where it is known.

import { element, find, icon } from "./elements.js";

const ACTS = [
  {
    name: "assistant",
    title: "The AI assistant",
    see: "Ask it something: the spare one answers, and the answer says so.",
  },
  {
    name: "spare",
    title: "The spare assistant",
    see: "With both away, what was asked before gets its earlier answer, and a new question learns that there is none.",
  },
  {
    name: "postgres",
    title: "The message archive",
    see: "What you write is read at once, and stored when the archive is back.",
  },
  {
    name: "auth",
    title: "The sign-in",
    see: "You stay. Reload this page: you are told why you cannot come in, and let in when you can.",
  },
  {
    name: "backend",
    title: "The chat's own server",
    see: "Write on: your messages wait here, and go out once when it is back.",
  },
];
const WORDS = { up: "works", degraded: "is slow", down: "is down", unknown: "" };

export class Tour {
  #list = find("acts");
  #hint = find("acts-hint");
  #drawn = "";

  /** ``parts`` are those of the sample by ``/parts``, ``services`` what is known of them by name. */
  show(parts, services, isServerThere) {
    const acts = ACTS.map((act) => {
      const part = parts.find(({ name }) => name === act.name);
      const isGone = act.name === "backend" && !isServerThere;
      const status = isGone ? "down" : (services.get(act.name)?.status ?? "unknown");
      // Where it works and nobody knows its process, somebody has started it by hand, and can end it by hand.
      return { ...act, status, command: (status === "down" ? part?.start : part?.end) ?? "" };
    });
    const drawn = JSON.stringify(acts);
    if (drawn !== this.#drawn) {
      this.#drawn = drawn;
      this.#hint.hidden = parts.length > 0;
      this.#list.replaceChildren(...acts.map(card));
    }
  }
}

function card({ title, see, status, command }) {
  const word = element("span", "word", WORDS[status]);
  const node = element("li", "act", element("h3", "", title, " ", word), element("p", "", see));
  node.dataset.level = status;
  if (command) {
    const code = element("code", "", command);
    code.tabIndex = 0;
    const copy = element("button", "small copy", icon("copy"), "Copy");
    copy.type = "button";
    const isEnd = command.startsWith("kill ");
    copy.setAttribute("aria-label", `Copy the command that ${isEnd ? "ends" : "starts"} it: ${title}`);
    copy.addEventListener("click", () => copied(copy, command, code));
    node.append(element("div", "command", code, copy));
  }
  return node;
}

async function copied(button, command, code) {
  try {
    await navigator.clipboard.writeText(command);
    button.lastChild.textContent = "Copied";
    setTimeout(() => (button.lastChild.textContent = "Copy"), 2000);
  } catch {
    getSelection().selectAllChildren(code); // no clipboard here: it is selected, to be copied by hand
  }
}
