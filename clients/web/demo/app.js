// Wires the page: signing in, the chat behind it, and the view of both.

import { Chat } from "./chat.js";
import { keeping } from "./keeping.js";
import { signIn } from "./signing-in.js";
import { Composer } from "./view/composer.js";
import { find, setText } from "./view/elements.js";
import { Entrance } from "./view/entrance.js";
import { Log } from "./view/log.js";
import { Tour } from "./view/tour.js";
import { connectionWords, sentence } from "./words.js";

const ASSISTANT = "@assistant ";

const entrance = new Entrance((name, room) => enter(name, room));
const log = new Log({ again: (entry) => chat.sayAgain(entry), ask: (question) => say(ASSISTANT + question) });
const composer = new Composer({
  say,
  draft: (text) => chat && keeping.set(`draft ${chat.room}`, text),
});
const tour = new Tour();
let chat = null;
let parts = [];
let trying = 0; // the timer of the next attempt to sign in
let failures = 0;
let isDrawing = false;

async function enter(name, room) {
  clearTimeout(trying);
  entrance.busy();
  const { token, wrong, away, retryMs } = await signIn(name, failures);
  clearTimeout(trying);
  if (token) {
    failures = 0;
    entrance.say("", "");
    join({ name, room, token });
  } else if (wrong) {
    entrance.say("wrong", wrong);
  } else {
    failures += 1;
    entrance.say("down", away, Date.now() + retryMs);
    trying = setTimeout(() => enter(name, room), retryMs);
  }
}

function join(session) {
  keeping.set("session", session);
  const memory = `conversation ${session.room} ${session.name}`;
  chat = new Chat(session, { kept: keeping.get(memory, []), keep: (entries) => keeping.set(memory, entries) });
  chat.addEventListener("change", draw);
  chat.addEventListener("signed-out", () => leave(chat.client.closeReason));
  for (const type of ["notice", "welcome", "snapshot"]) {
    chat.client.addEventListener(type, findParts);
  }
  document.body.dataset.view = "chat";
  setText(find("room-name"), session.room);
  setText(find("my-name"), session.name);
  findParts();
  log.clear();
  composer.draft = keeping.get(`draft ${session.room}`, "");
  composer.focus();
  const noticed = chat.client;
  customElements.whenDefined("service-notices").then(() => chat?.client === noticed && (find("notices").client = noticed));
  draw();
}

function leave(why = "") {
  const { name, room } = chat;
  chat.leave();
  chat = null;
  keeping.set("session", { name, room });
  showEntrance({ name, room }, why);
}

function showEntrance({ name = "", room }, why = "") {
  document.body.dataset.view = "entrance";
  document.title = "Chat";
  entrance.say(why ? "wrong" : "", why && sentence(why));
  entrance.open({ name, room });
}

function say(text) {
  const isSaid = chat.say(text);
  if (isSaid) {
    log.toEnd();
  }
  return isSaid;
}

// Much may happen at once; it is drawn once.
function draw() {
  if (!isDrawing) {
    isDrawing = true;
    queueMicrotask(() => {
      isDrawing = false;
      if (chat !== null) {
        drawNow();
      }
    });
  }
}

function drawNow() {
  const { client, conversation, history, isJoined, sending } = chat;
  const { level, text } = connectionWords(client, isJoined);
  find("connection").dataset.level = level;
  setText(find("connection-text"), text);
  document.title = isJoined ? `${chat.room} – Chat` : `${text} – Chat`;
  // That a message is stored later, the server's own words say; the notices' are for one that is not sent yet.
  find("notices").setAttribute("sending", isJoined && sending.mode === "queued" ? "" : sending.mode);
  log.show(conversation.entries, history);
  composer.show(sending);
  const isRefused = client.standing === "refused";
  const services = isRefused ? client.refusal.services.map((each) => [each.name, each]) : client.services;
  tour.show(parts, new Map(services), isJoined || isRefused);
}

async function findParts() {
  try {
    parts = await (await fetch(new URL("parts", document.baseURI))).json();
    draw();
  } catch {
    // the server is away; what was known stays
  }
}

find("leave").addEventListener("click", () => leave());
find("suggestions").addEventListener("click", ({ target }) => {
  const text = target.closest("button")?.dataset.text;
  if (text) {
    composer.suggest(text);
  }
});
const asked = new URLSearchParams(location.search).get("room");
const session = { room: "lobby", ...keeping.get("session", {}), ...(asked && { room: asked }) };
if (session.token) {
  join(session);
} else {
  showEntrance(session);
}
