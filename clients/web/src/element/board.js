// Where notices are drawn, each in its place for as long as it lasts. Everything that anybody said enters as text.

const SVG = "http://www.w3.org/2000/svg";
const CIRCLE = "M10 2.5a7.5 7.5 0 1 0 0 15 7.5 7.5 0 0 0 0-15Z";
const CROSS = "M6.5 6.5l7 7M13.5 6.5l-7 7";
const ICONS = {
  blocked: `${CIRCLE}M6.5 10h7`,
  degraded: "M10 3 18 17H2ZM10 8.5v3.5M10 14.4v.1",
  down: CIRCLE + CROSS,
  flapping: "M1.5 10.5H5l2-6 4.5 11 3-7.5 1 2.5h3",
  lost: `${CIRCLE}M8 8a2 2 0 1 1 3 1.7c-.7.4-1 .8-1 1.6M10 14v.1`,
  offline: "M3 3l14 14M2.5 8.3a11 11 0 0 1 3.2-2.1M17.5 8.3A11 11 0 0 0 9 5.1M5.5 11.6a6.5 6.5 0 0 1 3-1.7M10 15.5v.1",
  outdated: "M15.7 6.2A7 7 0 1 0 17 10M16.5 2.5v4h-4",
  planned: `${CIRCLE}M10 6v4.2l2.8 1.8`,
  recovered: `${CIRCLE}M6.5 10.3l2.4 2.4 4.6-5`,
};
const GOING_MS = 200; // as long as the style sheet's "go"

export function element(name, part, attributes = {}, ...children) {
  const made = document.createElement(name);
  if (part) {
    made.part = part;
  }
  for (const each of Object.entries(attributes)) {
    made.setAttribute(...each);
  }
  made.append(...children);
  return made;
}

/**
 * ``act`` is called with what a button is for ("dismiss", "retry", "reload", "more") and the line, ``moved`` when pointer or
 * focus have come or gone.
 */
export function makeBoard(act, moved) {
  const cards = new Map();
  const list = element("ul", "list", { role: "list", "aria-live": "off" });
  const more = button("more", () => act("more"));
  const node = element("div", "box", { hidden: "" }, list, more);
  let cameFrom = null;
  let hovers = false;

  const focused = () => node.getRootNode().activeElement;
  const hover = ({ type }) => {
    hovers = type === "pointerenter";
    moved();
  };
  node.addEventListener("pointerenter", hover);
  node.addEventListener("pointerleave", hover);
  node.addEventListener("focusout", moved);
  node.addEventListener("focusin", ({ relatedTarget }) => {
    cameFrom = node.contains(relatedTarget) ? cameFrom : relatedTarget;
    moved();
  });

  function remove({ node: going }) {
    const hadFocus = going.contains(focused());
    going.inert = true;
    if (hadFocus) { // it goes on to the next notice, or back to where the reader came from
      const { host } = node.getRootNode();
      const [next] = [...cards.values()].map(({ dismiss }) => dismiss).filter(({ hidden }) => !hidden);
      host.tabIndex = -1;
      (next ?? (cameFrom?.isConnected ? cameFrom : host)).focus({ preventScroll: true });
    }
    setTimeout(() => {
      going.remove();
      if (!list.children.length) {
        node.hidden = true;
        hovers = false; // what is gone is not left by the pointer
      }
    }, GOING_MS);
  }

  return {
    node,
    /** Whether somebody is at it. */
    get isHeld() {
      return hovers || focused() !== null;
    },
    /** The key of the notice that has the focus. */
    get focused() {
      return [...cards].find(([, card]) => card.node.contains(focused()))?.[0];
    },
    draw({ inSight, more: text }, { words, mode, isOpen }) {
      node.role = mode === "line" ? "group" : "region";
      node.ariaLabel = words.say("name");
      let next = null;
      const gone = new Map(cards);
      for (const line of [...inSight].reverse()) {
        const card = cards.get(line.key) ?? makeCard(act);
        card.update(line, words, focused());
        if (!gone.delete(line.key)) {
          cards.set(line.key, card);
          list.insertBefore(card.node, next);
          node.hidden = false;
        }
        next = card.node;
      }
      for (const [key, card] of gone) {
        cards.delete(key);
        remove(card);
      }
      more.hidden = !text && focused() !== more;
      more.ariaExpanded = `${isOpen}`;
      setText(more, text);
    },
  };
}

function makeCard(act) {
  let line;
  const path = document.createElementNS(SVG, "path");
  const label = element("strong", "label");
  const headline = element("span", "headline", { dir: "auto" });
  const details = element("p", "details");
  const body = element("div", "body", {}, element("p", "text", {}, label, " ", headline), details);
  const action = button("action", () => line.action && act(line.action, line));
  const dismiss = button("dismiss", () => line.isDismissable && act("dismiss", line));
  const cross = document.createElementNS(SVG, "path");
  cross.setAttribute("d", CROSS);
  dismiss.append(picture(cross));
  const card = element("div", "card", {}, picture(path), body, action, dismiss);
  const node = element("li", "", {}, card);
  return {
    node,
    dismiss,
    update(given, words, focused) {
      line = given;
      const { kind, level, action: what, when, sending } = line;
      node.part = `notice ${level}`;
      node.dataset.level = level;
      path.setAttribute("d", ICONS[kind] ?? ICONS.blocked);
      setText(label, line.label);
      say(headline, line.headline);
      const all = [...line.details, { text: sending, part: "sending" }, { text: when, part: "when" }];
      const told = all.filter(({ text }) => text);
      if (details.textContent !== told.map(({ text }) => `${text} `).join("")) {
        details.replaceChildren(...told.flatMap((each) => [say(element("span", each.part ?? "", { dir: "auto" }), each), " "]));
      }
      // a button that somebody is on goes only when they have left it
      action.hidden = !what && action !== focused;
      action.ariaDisabled = `${!what}`;
      setText(action, words.say(what) || action.textContent);
      dismiss.hidden = !line.isDismissable && dismiss !== focused;
      dismiss.ariaLabel = words.say("dismiss");
      dismiss.ariaDescription = line.headline.text;
    },
  };
}

function button(part, clicked) {
  const made = element("button", `button ${part}`, { type: "button" });
  made.addEventListener("click", clicked);
  return made;
}

function picture(path) {
  const made = document.createElementNS(SVG, "svg");
  made.setAttribute("viewBox", "0 0 20 20");
  made.setAttribute("aria-hidden", "true");
  made.append(path);
  return made;
}

function say(node, { text, lang }) {
  setText(node, text);
  node.toggleAttribute("lang", lang !== undefined);
  if (lang) {
    node.lang = lang;
  }
  return node;
}

function setText(node, text) {
  if (node.textContent !== text) {
    node.textContent = text;
  }
}
