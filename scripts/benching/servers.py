"""The servers that are compared, each as a program of its own: ``python -m scripts.benching.servers KIND --port ...``.

All but the node are told to broadcast from outside: by one byte on a connection to ``--control``, nchan by a POST to
it. What they send is a text frame of ``--size`` bytes, to a newcomer as its welcome and to everybody as news. The node
is the product's own, with its Redis; its news are commits.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import grp
import importlib.util
import os
import pwd
import resource
import select
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import uvloop

from broadcaster.config.settings import Duration
from broadcaster.node import server as node_server
from broadcaster.store.redis import RedisStore
from scripts.benching.application import settings
from scripts.benching.system import raise_limits

SERVERS = ("bare loop", "node", "picows", "websockets", "nchan", "ws")

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
"""What every handshake with ``KEY`` is answered by; the floor does not compute it."""

BACKLOG = 4096
WS_PROGRAM = Path(__file__).with_name("ws_server.cjs")

NCHAN_FOLDERS = ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/usr/local/nginx/modules")
NCHAN_MODULE = "ngx_nchan_module.so"
NCHAN_CONFIGURATION = """
load_module {module};
user {user} {group};
daemon off;
worker_processes 1;
worker_rlimit_nofile {descriptors};
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections {descriptors}; multi_accept on; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_requests 1000000000;
  keepalive_timeout 1d;
  server {{
    listen 127.0.0.1:{port} backlog={backlog};
    location = /ws {{ nchan_subscriber websocket; nchan_channel_id news; nchan_subscriber_first_message -1; }}
  }}
  server {{
    listen 127.0.0.1:{control};
    location = /publish {{ nchan_publisher http; nchan_channel_id news; nchan_message_buffer_length 1; }}
  }}
}}
"""


def missing(kind: str) -> str:
    """What is not installed here of this server; empty if nothing."""
    match kind:
        case "picows" if importlib.util.find_spec("picows") is None:
            return "the Python package picows"
        case "nchan" if not shutil.which("nginx"):
            return "nginx"
        case "nchan" if nchan_module() is None:
            return f"nginx's {NCHAN_MODULE}"
        case "ws" if not shutil.which("node"):
            return "Node.js"
        case "ws" if not _node_finds_ws():
            return "the npm package ws"
    return ""


def text_frame(size: int) -> bytes:
    """A text frame of ``size`` bytes in all (126..65535 of payload)."""
    payload = size - 4
    return bytes([0x81, 126]) + payload.to_bytes(2, "big") + b"x" * payload


def serve_bare(port: int, control: int, size: int) -> None:
    """The floor: accept, one recv, one send; and to broadcast, a loop of send() calls."""
    listener = socket.create_server(("127.0.0.1", port), backlog=BACKLOG)
    commands = socket.create_server(("127.0.0.1", control))
    frame = text_frame(size)
    answer = ANSWER + frame
    poller = select.epoll()
    for each in (listener, commands):
        poller.register(each, select.EPOLLIN)
    clients: dict[int, socket.socket] = {}
    waiting: dict[int, socket.socket] = {}
    controllers: dict[int, socket.socket] = {}
    while True:
        for number, _ in poller.poll():
            if number == listener.fileno():
                client, _ = listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                waiting[client.fileno()] = client
                poller.register(client, select.EPOLLIN)
            elif number == commands.fileno():
                controller, _ = commands.accept()
                controllers[controller.fileno()] = controller
                poller.register(controller, select.EPOLLIN)
            elif number in controllers:
                if not controllers[number].recv(1):
                    poller.unregister(number)
                    controllers.pop(number).close()
                    continue
                for client in clients.values():
                    client.send(frame)
            elif number in waiting:
                client = waiting.pop(number)
                try:
                    client.recv(4096)
                    client.send(answer)
                except ConnectionError:
                    poller.unregister(number)
                    client.close()
                    continue
                clients[number] = client
            else:
                poller.unregister(number)
                clients.pop(number).close()


async def listen_to(control: int, broadcast: Callable[[], None]) -> None:
    async def commands(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1):
            broadcast()
        writer.close()

    await asyncio.start_server(commands, "127.0.0.1", control)


async def serve_websockets(port: int, control: int, size: int) -> None:
    """websockets' own way: ``serve`` and ``broadcast``, without compression."""
    import websockets

    text = "x" * (size - 4)

    async def handler(connection: websockets.ServerConnection) -> None:
        await connection.send(text)
        await connection.wait_closed()

    async with websockets.serve(handler, "127.0.0.1", port, compression=None, backlog=BACKLOG) as server:
        await listen_to(control, lambda: websockets.broadcast(server.connections, text))
        await server.wait_closed()


async def serve_picows(port: int, control: int, size: int) -> None:
    """picows, a WebSocket library in Cython, with a loop over its transports."""
    import picows

    payload = b"x" * (size - 4)
    transports: set[picows.WSTransport] = set()

    class Listener(picows.WSListener):
        def on_ws_connected(self, transport: picows.WSTransport) -> None:
            transports.add(transport)
            transport.send(picows.WSMsgType.TEXT, payload)

        def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
            transports.discard(transport)

    def broadcast() -> None:
        for transport in transports:
            transport.send(picows.WSMsgType.TEXT, payload)

    server = await picows.ws_create_server(lambda request: Listener(), "127.0.0.1", port, backlog=BACKLOG)
    await listen_to(control, broadcast)
    await server.serve_forever()


async def serve_node(redis_url: str, port: int, most: int, patience: float) -> None:
    """The product. ``patience`` is how long it keeps clients that do not read, or do not answer its pings."""
    chosen = settings()
    node = msgspec.structs.replace(chosen.node, max_connections=max(chosen.node.max_connections, most))
    if patience:
        node = msgspec.structs.replace(node, stuck_after=Duration(patience), ping_interval=Duration(patience))
    async with RedisStore.connect(redis_url) as store:
        listener = node_server.listen("127.0.0.1", port)
        await node_server.serve_on(listener, msgspec.structs.replace(chosen, node=node), store)


def become_nchan(port: int, control: int, folder: Path) -> None:
    """nginx with nchan and one worker, in this process's place."""
    _end_with_parent_in_order()
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    user = pwd.getpwuid(os.geteuid())
    configuration = folder / "nginx.conf"
    configuration.write_text(
        NCHAN_CONFIGURATION.format(
            module=nchan_module(),
            user=user.pw_name,
            group=grp.getgrgid(user.pw_gid).gr_name,
            descriptors=descriptors,
            folder=folder,
            port=port,
            control=control,
            backlog=BACKLOG,
        )
    )
    nginx = shutil.which("nginx") or "nginx"
    os.execv(nginx, [nginx, "-p", str(folder), "-e", "stderr", "-c", str(configuration)])


def become_ws(port: int, control: int, size: int) -> None:
    """Node.js with the ``ws`` package, in this process's place."""
    node = shutil.which("node") or "node"
    os.execve(node, [node, str(WS_PROGRAM), str(port), str(control), str(size), str(BACKLOG)], _node_environment())


def nchan_module() -> Path | None:
    """The file of nginx's module, where nginx itself or a distribution puts it."""
    built = subprocess.run(["nginx", "-V"], capture_output=True, text=True, check=False).stderr
    told = [part.partition("=")[2] for part in built.split() if part.startswith("--modules-path=")]
    places = (Path(folder) / NCHAN_MODULE for folder in (*told, *NCHAN_FOLDERS))
    return next((place for place in places if place.is_file()), None)


def _node_finds_ws() -> bool:
    asked = subprocess.run(
        ["node", "-e", 'require.resolve("ws")'], env=_node_environment(), capture_output=True, check=False
    )
    return asked.returncode == 0


def _node_environment() -> dict[str, str]:
    """This one, with the packages that npm installs for everybody."""
    folders = [os.environ.get("NODE_PATH", "")]
    if shutil.which("npm"):
        asked = subprocess.run(["npm", "root", "-g"], capture_output=True, text=True, check=False)
        folders.append(asked.stdout.strip())
    return os.environ | {"NODE_PATH": os.pathsep.join(filter(None, folders))}


def _end_with_parent_in_order() -> None:
    """Has the kernel send SIGTERM, not SIGKILL, when the parent dies: a worker would outlive a master so killed."""
    death_signal = 1  # PR_SET_PDEATHSIG, prctl(2)
    ctypes.CDLL(None, use_errno=True).prctl(death_signal, signal.SIGTERM, 0, 0, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=SERVERS)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--control", type=int, required=True, help="where to be told to broadcast")
    parser.add_argument("--size", type=int, required=True, help="bytes of a frame")
    parser.add_argument("--redis", required=True, help="the node's")
    parser.add_argument("--folder", type=Path, required=True, help="for files of the server's own")
    parser.add_argument("--most", type=int, required=True, help="connections that the node must be able to have")
    parser.add_argument("--patience", type=float, default=0.0, help="seconds the node bears clients that are stuck")
    chosen = parser.parse_args()
    raise_limits()
    match chosen.kind:
        case "bare loop":
            serve_bare(chosen.port, chosen.control, chosen.size)
        case "node":
            uvloop.run(serve_node(chosen.redis, chosen.port, chosen.most, chosen.patience))
        case "picows":
            uvloop.run(serve_picows(chosen.port, chosen.control, chosen.size))
        case "websockets":
            uvloop.run(serve_websockets(chosen.port, chosen.control, chosen.size))
        case "nchan":
            become_nchan(chosen.port, chosen.control, chosen.folder)
        case "ws":
            become_ws(chosen.port, chosen.control, chosen.size)


if __name__ == "__main__":
    main()
