// A server with the npm package ws: a welcome to everybody who comes, and a broadcast for every byte on `control`.
"use strict";

const net = require("node:net");
const { WebSocketServer } = require("ws");

const [port, control, size, backlog] = process.argv.slice(2).map(Number);
const text = Buffer.alloc(size - 4, "x"); // a frame's head takes four bytes
const host = "127.0.0.1";

const server = new WebSocketServer({ host, port, backlog, perMessageDeflate: false });
server.on("connection", (client) => {
  client.on("error", () => {}); // a client that resets its connection
  client.send(text, { binary: false });
});

net
  .createServer((commands) => {
    commands.on("data", () => {
      for (const client of server.clients) client.send(text, { binary: false });
    });
  })
  .listen(control, host);
