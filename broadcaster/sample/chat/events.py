"""What clients and the chat say to each other: JSON with an ``event``."""

from __future__ import annotations

import msgspec

MOST_LETTERS = 2000
MOST_ID_LETTERS = 64


class Say(msgspec.Struct, tag_field="event", tag="say"):
    """A client's message. ``id`` is the client's own: sent twice, it is kept once."""

    id: str
    text: str


class ChatMessage(msgspec.Struct, frozen=True, tag_field="event", tag="message"):
    """What everybody in the room reads. ``at`` is in Unix seconds."""

    id: str
    room: str
    author: str
    text: str
    at: float


class Joined(msgspec.Struct, tag_field="event", tag="joined"):
    """The first event. ``reduced`` are the titles of features that are limited or unavailable now."""

    name: str
    room: str
    reduced: list[str]


class Ack(msgspec.Struct, tag_field="event", tag="ack"):
    """What became of a message: ``stored``; ``queued``, and stored later; ``refused``, with the reason in ``text``, and
    for programs in ``reason``: ``invalid``, ``busy``, ``full`` (the archive takes no more) or ``failed``."""

    id: str
    state: str
    text: str = ""
    reason: str = ""


class Problem(msgspec.Struct, tag_field="event", tag="problem"):
    """Something the client sent makes no sense."""

    text: str


class AgentStarted(msgspec.Struct, tag_field="event", tag="agent_started"):
    run: str
    question: str


class AgentThinking(msgspec.Struct, tag_field="event", tag="agent_thinking"):
    run: str
    text: str


class ToolExecuting(msgspec.Struct, tag_field="event", tag="tool_executing"):
    run: str
    tool: str


class ToolCompleted(msgspec.Struct, tag_field="event", tag="tool_completed"):
    """``degraded`` says, in a user's words, what is less than it should be; '' if nothing is."""

    run: str
    tool: str
    result: str
    degraded: str = ""


class AgentCompleted(msgspec.Struct, tag_field="event", tag="agent_completed"):
    """The answer; ``degraded`` as above."""

    run: str
    text: str
    degraded: str = ""


AgentEvent = AgentStarted | AgentThinking | ToolExecuting | ToolCompleted | AgentCompleted
Event = ChatMessage | Joined | Ack | Problem | AgentEvent


def encode(event: Event) -> str:
    """The event as a WebSocket's text."""
    return msgspec.json.encode(event).decode()
