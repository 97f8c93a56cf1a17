// The chat page's decisions: what stands in the conversation, what becomes of a message, what the socket carries.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Conversation } from "../demo/conversation.js";
import { MOST_WAITING, sending } from "../demo/sending.js";
import { carrying } from "../demo/socket.js";

const NOW = 1_000;

function texts({ entries }) {
  return entries.map(({ text }) => text);
}

function states({ entries }) {
  return entries.map(({ state }) => state);
}

test("what was said before comes before what was heard, and nothing comes twice", () => {
  const conversation = new Conversation("ada");
  conversation.hear({ id: "2", author: "bob", text: "second", at: 20 });
  conversation.hear({ id: "1", author: "bob", text: "first", at: 10 });
  conversation.hear({ id: "2", author: "bob", text: "second", at: 20 });
  conversation.hear({ id: "2", author: "eve", text: "somebody else's 2", at: 30 });
  assert.deepEqual(texts(conversation), ["first", "second", "somebody else's 2"]);
});

test("a message of one's own is on its way, heard by all, queued and stored, and stays where it is", () => {
  const conversation = new Conversation("ada");
  conversation.write("a", "hello", true);
  assert.deepEqual(states(conversation), ["sending"]);
  conversation.hear({ id: "b", author: "bob", text: "hi", at: NOW - 1 });
  conversation.hear({ id: "a", author: "ada", text: "hello", at: NOW - 2 });
  assert.deepEqual(texts(conversation), ["hello", "hi"]);
  conversation.acknowledge({ id: "a", state: "queued", text: "kept" }, NOW);
  assert.deepEqual([conversation.entries[0].state, conversation.entries[0].why], ["queued", "kept"]);
  conversation.acknowledge({ id: "a", state: "stored" }, NOW);
  conversation.acknowledge({ id: "a", state: "queued", text: "late" }, NOW);
  assert.equal(conversation.entries[0].state, "stored");
});

test("what is written without a connection waits, and goes out in order with it", () => {
  const conversation = new Conversation("ada");
  conversation.write("a", "one", false);
  conversation.write("b", "two", false);
  assert.deepEqual(states(conversation), ["waiting", "waiting"]);
  conversation.connected();
  assert.deepEqual(conversation.unsettled.map(({ id }) => id), ["a", "b"]);
  conversation.acknowledge({ id: "a", state: "stored" }, NOW);
  conversation.disconnected();
  assert.deepEqual(states(conversation), ["stored", "waiting"]);
});

test("a refused message is not sent by itself, but again when asked", () => {
  const conversation = new Conversation("ada");
  conversation.write("a", "one", true);
  conversation.acknowledge({ id: "a", state: "refused", text: "too much" }, NOW);
  conversation.disconnected();
  conversation.connected();
  assert.deepEqual(conversation.unsettled, []);
  conversation.retry("a", true);
  assert.deepEqual(states(conversation), ["sending"]);
});

test("the assistant's steps lead to an answer, or to words for that there will be none", () => {
  const conversation = new Conversation("ada");
  const tell = (event) => conversation.assistant({ run: "r", ...event }, NOW);
  conversation.hear({ id: "b", author: "bob", text: "from a server whose clock is ahead", at: NOW + 5 });
  tell({ event: "agent_started", question: "why" });
  tell({ event: "tool_executing", tool: "usage_report" });
  tell({ event: "tool_completed", tool: "usage_report", result: "nothing", degraded: "away" });
  tell({ event: "agent_thinking", text: "asking" });
  assert.deepEqual(conversation.entries[1].steps.map(({ name, degraded }) => [name, degraded]), [
    ["usage_report", "away"],
    ["thinking", ""],
  ]);
  conversation.assistant({ run: "other", event: "agent_started", question: "how" }, NOW);
  tell({ event: "agent_completed", text: "because", degraded: "spare" });
  conversation.disconnected();
  const [, first, second] = conversation.entries;
  assert.deepEqual([first.text, first.degraded, first.isBroken, first.steps.length], ["because", "spare", false, 1]);
  assert.deepEqual([second.text, second.isBroken], [null, true]);
});

test("a reload keeps what the server may not have, and what it told to nobody else", () => {
  const before = new Conversation("ada");
  before.write("a", "stored", true);
  before.acknowledge({ id: "a", state: "stored" }, NOW);
  before.write("b", "on its way", true);
  before.assistant({ run: "r", event: "agent_started", question: "why" }, NOW);
  before.assistant({ run: "r", event: "agent_completed", text: "because" }, NOW);
  const after = new Conversation("ada");
  after.restore(JSON.parse(JSON.stringify(before.kept())));
  assert.deepEqual(texts(after), ["because", "on its way"]);
  assert.deepEqual(after.unsettled.map(({ id, state }) => [id, state]), [["b", "waiting"]]);
});

const WELL = {
  connection: "open",
  standing: "well",
  isOffline: false,
  isFeedLost: false,
  services: new Map([["postgres", { status: "up" }]]),
};
const ARCHIVE_DOWN = { ...WELL, services: new Map([["postgres", { status: "down" }]]) };
const JOINED = { isJoined: true, waiting: 0, archiveRefusal: "" };
const AWAY = { ...JOINED, isJoined: false };

for (const [what, client, chat, mode, words] of [
  ["all is well", WELL, JOINED, "ok", /^$/],
  ["the archive is down", ARCHIVE_DOWN, JOINED, "queued", /stored as soon as/],
  ["the archive takes no more", ARCHIVE_DOWN, { ...JOINED, archiveRefusal: "It is full." }, "blocked", /It is full/],
  ["the archive took no more, and is back", WELL, { ...JOINED, archiveRefusal: "It is full." }, "ok", /^$/],
  ["there is no network", { ...WELL, isOffline: true }, AWAY, "queued", /offline/],
  ["the connection is lost", { ...WELL, isFeedLost: true }, AWAY, "queued", /no connection/],
  ["it connects", WELL, AWAY, "ok", /Connecting/],
  ["it is refused", { ...WELL, standing: "refused" }, AWAY, "blocked", /not let in/],
  ["too many wait", { ...WELL, isFeedLost: true }, { ...AWAY, waiting: MOST_WAITING }, "blocked", /waiting already/],
  ["the page is too old", { ...WELL, connection: "outdated" }, AWAY, "blocked", /has ended/],
  ["the server wants no more", { ...WELL, connection: "ended" }, AWAY, "blocked", /has ended/],
]) {
  test(`sending while ${what}`, () => {
    const found = sending(client, chat);
    assert.equal(found.mode, mode);
    assert.match(found.reason, words);
  });
}

test("the socket's two streams are taken apart, until it is left", () => {
  const events = [];
  const messages = [];
  let inner;
  class Inner {
    constructor() {
      inner = this;
    }
    close() {}
  }
  const ChatSocket = carrying((event) => events.push(event.event), Inner);
  const socket = new ChatSocket("ws://test/", []);
  socket.onmessage = ({ data }) => messages.push(JSON.parse(data).type ?? "of the chat");
  const say = (message) => inner.onmessage({ data: JSON.stringify(message) });
  say({ event: "joined" });
  say({ event: "notice", notice: { type: "welcome" } });
  say({ type: "rejected" });
  inner.onmessage({ data: "no JSON" });
  socket.close(1000);
  say({ event: "message" });
  assert.deepEqual(events, ["joined"]);
  assert.deepEqual(messages, ["of the chat", "welcome", "rejected"]);
});
