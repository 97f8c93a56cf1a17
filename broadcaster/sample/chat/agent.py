"""An assistant with tools, each of which does less instead of failing, and says so."""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Callable

import httpx

from broadcaster.manager import ServiceAvailabilityManager
from broadcaster.sample.assistant import KEY
from broadcaster.sample.chat.activity import Activity, ReportAway
from broadcaster.sample.chat.events import (
    AgentCompleted,
    AgentEvent,
    AgentStarted,
    AgentThinking,
    ChatMessage,
    ToolCompleted,
    ToolExecuting,
)
from broadcaster.sample.chat.history import History, HistoryAway
from broadcaster.sample.chat.rooms import Rooms

PATIENCE = 4.0
"""Seconds for an answer of a model."""

MOST_REMEMBERED = 200
"""Answers that are kept for the time in which no model answers."""

RESTING = "I cannot think right now: my models do not answer. Please ask me again in a minute."

LESS = ("", "answered by the spare assistant", "an earlier answer to the same question", "no model answers")
"""What is said of an answer, by how many ways to it were missed."""

Tell = Callable[[AgentEvent], None]


class Agent:
    """Answers questions asked in a room: looks into history and reports, then asks a model."""

    def __init__(
        self,
        manager: ServiceAvailabilityManager,
        *,
        models: dict[str, str],
        history: History,
        rooms: Rooms,
        activity: Activity,
    ) -> None:
        self._clients = {
            service: httpx.AsyncClient(
                base_url=url, timeout=PATIENCE, trust_env=False, headers={"Authorization": f"Bearer {KEY}"}
            )
            for service, url in models.items()
        }
        self._answers: OrderedDict[str, str] = OrderedDict()

        async def ask_spare(question: str) -> str:
            async with manager.breaker("spare"):
                return await self._complete("spare", question)

        @manager.degradable("assistant", ask_spare, self._remembered, self._canned)
        async def ask(question: str) -> str:
            return await self._complete("assistant", question)

        self._ask = ask
        self._history = history
        self._rooms = rooms
        self._activity = activity

    async def aclose(self) -> None:
        for client in self._clients.values():
            await client.aclose()

    async def answer(self, question: str, room: str, tell: Tell) -> None:
        """Tells every step; the last is always the answer, however little there is to say."""
        run = uuid.uuid4().hex[:8]
        tell(AgentStarted(run, question))
        tell(ToolExecuting(run, "search_history"))
        messages, is_complete = await self.recent(room)
        less = "" if is_complete else "the archive is away: only what was said here lately"
        tell(ToolCompleted(run, "search_history", f"{len(messages)} messages", less))
        tell(ToolExecuting(run, "usage_report"))
        try:
            told = ", ".join(f"{count} of {kind}" for kind, count in (await self._activity.report()).items())
            tell(ToolCompleted(run, "usage_report", told or "nothing yet"))
        except ReportAway:
            tell(ToolCompleted(run, "usage_report", "nothing", "usage reports are away"))
        tell(AgentThinking(run, "asking the model"))
        answer = await self._ask(question)
        tell(AgentCompleted(run, answer.value, LESS[len(answer.missed)]))

    async def recent(self, room: str) -> tuple[list[ChatMessage], bool]:
        """What was said in a room, and whether that is all: while the archive is away, it is what is remembered."""
        try:
            return await self._history.recent(room), True
        except HistoryAway:
            return self._rooms.recent(room), False

    async def _complete(self, service: str, question: str) -> str:
        asked = {"model": "sample-model", "messages": [{"role": "user", "content": question}]}
        response = await self._clients[service].post("/v1/chat/completions", json=asked)
        response.raise_for_status()
        text: str = response.json()["choices"][0]["message"]["content"]
        self._answers[question] = text
        self._answers.move_to_end(question)
        if len(self._answers) > MOST_REMEMBERED:
            self._answers.popitem(last=False)
        return text

    def _remembered(self, question: str) -> str:
        return self._answers[question]

    def _canned(self, question: str) -> str:
        return RESTING
