// Where notices are drawn, each in its place for as long as it lasts. Everything that anybody said enters as text.

const SVG = "http://www.w3.org/2000/svg";
const CIRCLE = "M10 2.5a7.5 7.5 0 1 0 0 15 7.5 7.5 0 0 0 0-15Z";
const CROSS = "M6.5 6.5l7 7M13.5 6.5l-7 7";
const ICONS = {
  degraded: "M10 3 18 17H2ZM10 8.5v3.5M10 14.4v.1",
  down: CIRCLE + CROSS,
  offline: `${CIRCLE}M4.7 4.7l10.6 10.6`,
  planned: `${CIRCLE}M10 6v4.2l2.8 1.8`,
  up: `${CIRCLE}M6.5 10.3l2.4 2.4 4.6-5`,
};
const GOING_MS = 200; // as long as the style sheet's transition

export function element(name, attributes = {}, ...children) {
  const made = /svg|path/.test(name) ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const each of Object.entries(attributes)) {
    made.setAttribute(...each);
  }
  made.append(...children);
  return made;
}

/** ``act`` is called with what a button is for ("dismiss", "retry", "reload") and the line. */
export function makeBoard(act) {
  const cards = new Map();
  const node = element("ul", { part: "list", role: "list", "aria-live": "off" });
  let cameFrom = null;

  const focused = () => node.getRootNode().activeElement;
  node.addEventListener("focusin", ({ relatedTarget }) => {
    cameFrom = node.contains(relatedTarget) ? cameFrom : relatedTarget;
  });

  function remove({ node: going }) {
    const hadFocus = going.contains(focused());
    going.inert = true;
    if (hadFocus) { // it goes on to the next notice, or back to where the reader came from
      const { host } = node.getRootNode();
      const next = [...cards.values()].map(({ dismiss }) => dismiss).find(({ hidden }) => !hidden) ?? cameFrom;
      host.tabIndex = -1;
      (next?.isConnected ? next : host).focus({ preventScroll: true });
    }
    setTimeout(() => going.remove(), GOING_MS);
  }

  return {
    node,
    /** Whether somebody is at it. */
    isHeld: () => focused() !== null || node.matches(":hover"),
    draw(lines, words) {
      node.ariaLabel = words.say("name");
      let next = null;
      const gone = new Map(cards);
      for (const line of [...lines].reverse()) {
        const card = cards.get(line.key) ?? makeCard(act);
        card.update(line, words, focused());
        if (!gone.delete(line.key)) {
          cards.set(line.key, card);
          node.insertBefore(card.node, next);
        }
        next = card.node;
      }
      for (const [key, card] of gone) {
        cards.delete(key);
        remove(card);
      }
    },
  };
}

function makeCard(act) {
  let line;
  const path = element("path");
  const label = element("strong", { part: "label" });
  const headline = element("span", { part: "headline" });
  const details = ["affected", "sending", "when"].map((part) => element("p", { part, dir: "auto" }));
  const action = button("action", () => line.action && act(line.action, line));
  const text = element("p", {}, label, " ", headline);
  const body = element("div", { part: "body" }, text, element("div", { part: "details" }, ...details), action);
  const dismiss = button("dismiss", () => line.isDismissable && act("dismiss", line));
  const node = element("li", {}, element("div", {}, picture(path), body, dismiss));
  dismiss.append(picture(element("path", { d: CROSS })));
  return {
    node,
    dismiss,
    update(given, words, focused) {
      line = given;
      const { kind, level } = line;
      node.part = `notice ${level}`;
      path.setAttribute("d", ICONS[kind] ?? ICONS[level]);
      write(label, line.label);
      write(headline, line.headline);
      [line.details.join(" "), line.sending, line.when].forEach((text, index) => write(details[index], text));
      // a button that somebody is on goes only when they have left it
      action.hidden = !line.action && action !== focused;
      action.ariaDisabled = !line.action;
      write(action, words.say(line.action) || action.textContent);
      dismiss.hidden = !line.isDismissable && dismiss !== focused;
      dismiss.ariaLabel = words.say("dismiss");
      dismiss.ariaDescription = line.headline;
    },
  };
}

function button(part, clicked) {
  const made = element("button", { part: `button ${part}` });
  made.onclick = clicked;
  return made;
}

function picture(path) {
  return element("svg", { viewBox: "0 0 20 20", "aria-hidden": true }, path);
}

function write(node, text) {
  if (node.textContent !== text) {
    node.textContent = text;
  }
}
