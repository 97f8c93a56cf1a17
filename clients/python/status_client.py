"""Follows the availability of a chat from its WebSocket: ``python status_client.py [ws://127.0.0.1:8895/ws]``."""

import asyncio
import json
import random
import sys

import websockets


async def follow(url: str) -> None:
    """Prints what the server says, in words, and reconnects until it is cancelled."""
    failures, retry_after = 0, 0.0
    while True:
        try:
            async with websockets.connect(url, subprotocols=[websockets.Subprotocol("availability.v1")]) as socket:
                async for data in socket:
                    said = json.loads(data)
                    if said.get("quiet"):
                        continue
                    failures, retry_after = 0, said.get("retry_after_ms", 0) / 1000
                    words = said.get("text") or ("All is well." if said["type"] in ("welcome", "snapshot") else "")
                    print(f"{said['type']}: {words}" if words else said["type"], flush=True)
            print(f"closed: {socket.close_reason or 'goodbye'}", flush=True)
        except websockets.ConnectionClosed as error:
            print(f"closed: {error.rcvd.reason if error.rcvd else 'the connection broke'}", flush=True)
        except (OSError, websockets.WebSocketException) as error:
            print(f"no connection: {error}", flush=True)
        failures += 1
        # As the server asked, which spreads its clients; without a word from it, full jitter up to 20 s.
        wait = retry_after or random.uniform(0.5, min(20.0, 2.0 ** min(failures, 5)))  # noqa: S311
        retry_after = 0.0
        await asyncio.sleep(wait)


if __name__ == "__main__":
    try:
        asyncio.run(follow(sys.argv[1] if len(sys.argv) > 1 else "ws://127.0.0.1:8895/ws"))
    except KeyboardInterrupt:
        sys.exit(130)
