// One entry of the conversation as elements: a message, or an answer of the assistant.
//
// An entry is made once and changed in place: what is put into a log anew is read out again.

import { clock, sentence, stateWords, stepWords, wholeTime } from "../words.js";
import { element, icon, linked, setIcon, setText } from "./elements.js";

const ASSISTANT = "@assistant ";
const HUES = 6;

/**
 * Gives ``node``, and ``update(entry)`` for what becomes of it. ``on`` has ``again(entry)`` for a refused message, and
 * ``ask(question)`` for an answer that never came.
 */
export function entryView(entry, on) {
  const view = entry.kind === "answer" ? answer(entry, on) : message(entry, on);
  view.update(entry);
  return view;
}

function message(entry, on) {
  const isQuestion = entry.text.startsWith(ASSISTANT);
  const text = element("p", "text", ...linked(isQuestion ? entry.text.slice(ASSISTANT.length) : entry.text));
  text.dir = "auto";
  const when = element("time", "");
  const mark = icon("check");
  const words = element("span", "");
  const state = element("span", "state", mark, words);
  const meta = element("p", "meta", when, ...(entry.isMine ? [state] : []));
  const bubble = element("div", "bubble", ...(isQuestion ? [element("p", "to", icon("spark"), "To the assistant")] : []));
  bubble.append(text, meta);
  const author = element("p", "author", entry.isMine ? "You" : entry.author);
  author.dir = "auto";
  const again = button("Send again", () => on.again(entry));
  const node = element("article", "message", ...(entry.isMine ? [] : [avatar(entry.author)]), author, bubble, again);
  const update = (now) => {
    node.className = `message ${now.isMine ? "mine" : "theirs"} ${now.state}`;
    setTime(when, now.at);
    again.hidden = now.state !== "refused";
    if (now.isMine) {
      const said = stateWords(now);
      state.className = `state ${now.state}`;
      setIcon(mark, said.icon);
      setText(words, said.text);
      words.className = now.state === "stored" || now.state === "sending" ? "for-readers" : "";
    }
  };
  return { node, update };
}

function answer(entry, on) {
  const mark = element("span", "avatar assistant", icon("spark"));
  mark.setAttribute("aria-hidden", "true");
  const author = element("p", "author", "Assistant ", element("span", "aside", "only you see this"));
  const bubble = element("div", "bubble");
  const node = element("article", "message theirs answer", mark, author, bubble);
  const update = (now) => {
    if (now.text !== null) {
      bubble.replaceChildren(...answered(now));
    } else if (now.isBroken) {
      const again = button("Ask again", () => on.ask(now.question));
      bubble.replaceChildren(label("The connection broke before the answer came."), again);
    } else {
      const working = stepList(now.steps);
      working.classList.add("working");
      working.setAttribute("aria-live", "off"); // the answer is what is read out
      bubble.replaceChildren(working);
    }
  };
  return { node, update };
}

function answered({ text: words, degraded, steps, at }) {
  const text = element("p", "text", ...linked(words));
  text.dir = "auto";
  const when = element("time", "");
  setTime(when, at);
  // What it had to do without, beside its model.
  const short = steps.filter((step) => step.degraded).map((step) => element("p", "short", sentence(step.degraded)));
  const summary = element("summary", "", `How it got there: ${steps.length} ${steps.length === 1 ? "step" : "steps"}`);
  const way = element("details", "steps", summary, stepList(steps));
  const foot = element("div", "foot", way, element("p", "meta", when));
  return [...(degraded ? [label(sentence(degraded))] : []), text, ...short, foot];
}

function stepList(steps) {
  const list = element("ul", "steps");
  for (const step of steps) {
    const isDone = step.result !== null;
    const mark = icon(step.degraded ? "alert" : isDone ? "check" : "dots");
    list.append(element("li", `${step.degraded ? "short" : ""} ${isDone ? "" : "doing"}`, mark, stepWords(step)));
  }
  return list;
}

function label(words) {
  return element("p", "less", icon("alert"), words);
}

function button(words, pressed) {
  const node = element("button", "small", words);
  node.type = "button";
  node.addEventListener("click", pressed);
  return node;
}

function avatar(author) {
  const [first] = new Intl.Segmenter().segment(author.trim().toUpperCase() || "?");
  const mark = element("span", "avatar", first.segment);
  mark.dataset.hue = [...author].reduce((sum, letter) => (sum * 33 + letter.codePointAt(0)) % 9973, 7) % HUES;
  mark.setAttribute("aria-hidden", "true");
  return mark;
}

function setTime(node, at) {
  node.hidden = at === Infinity;
  if (at < Infinity) {
    setText(node, clock(at));
    node.dateTime = new Date(at * 1000).toISOString();
    node.title = wholeTime(at);
  }
}
