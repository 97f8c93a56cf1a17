"""The page says the same whether the server words it or the script: otherwise it would flicker as it comes alive."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from broadcaster.domain.features import FeatureStatus
from broadcaster.domain.model import Category, Criticality, FeedState, Position, Status
from broadcaster.node.pages import words
from broadcaster.protocol import codec
from broadcaster.protocol.messages import FeatureView, PlannedView, ServiceView, Welcome
from tests.unit.test_web_client import run_node

SCRIPT = """
import { readFileSync } from "node:fs";
const words = await import(process.argv[1]);
const { messages, spans } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const byName = (views) => new Map(views.map((view) => [view.name, view]));
const said = messages.map((message) => {
  const services = byName(message.services);
  const features = byName(message.features);
  return {
    overall: words.overall({ services, features, feed: message.feed }),
    feed: words.feedWord(message.feed),
    services: message.services.map((each) => [
      words.title(each), words.levelOf(each.status), words.statusWord(each.status), words.serviceDetail(each),
    ]),
    features: message.features.map((each) => [
      words.title(each), words.levelOf(each.status), words.statusWord(each.status), words.featureDetail(each, services),
    ]),
  };
});
console.log(JSON.stringify({ said, spans: spans.map(words.span) }));
"""

NAMES = ("auth", "db", "files", "mail")
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def some_message(chance: random.Random) -> Welcome:
    """A message that says anything that a node may say."""

    def some_time() -> datetime:
        return BEGIN + timedelta(minutes=chance.randrange(600_000))

    def planned() -> PlannedView:
        reason = chance.choice(["", "A bigger disk"])
        return PlannedView(starts_at=some_time(), until=some_time(), reason=reason, has_begun=chance.random() < 0.5)

    statuses = chance.choice([[Status.UP], [Status.UP, Status.UNKNOWN], [Status.UNKNOWN], list(Status)])
    services = tuple(
        ServiceView(
            name=name,
            title=chance.choice(["", name.title()]),
            status=chance.choice(statuses),
            criticality=chance.choice(list(Criticality)),
            category=chance.choice([None, *Category]),
            planned=planned() if chance.random() < 0.2 else msgspec.UNSET,
        )
        for name in NAMES[: chance.randrange(5)]
    )
    possible = chance.choice([[FeatureStatus.AVAILABLE], [FeatureStatus.UNAVAILABLE], list(FeatureStatus)])
    features = tuple(
        FeatureView(
            name=name,
            title=chance.choice(["", f"The {name}", "Auth"]),
            status=chance.choice(possible),
            text=chance.choice(["", f"Without {name}."]),
            because=tuple(chance.sample([*NAMES, "gone"], chance.randrange(3))),
        )
        for name in ("chat", "search", "reports")[: chance.randrange(4)]
    )
    feed = chance.choice([FeedState.LIVE, FeedState.LIVE, *FeedState])
    return Welcome(position=Position("e", 1), at=some_time(), feed=feed, services=services, features=features)


def said_by_the_server(message: Welcome) -> dict[str, object]:
    return {
        "overall": msgspec.to_builtins(words.overall(message.services, message.features, message.feed)),
        "feed": words.FEED_WORDS[message.feed],
        "services": [
            [words.title(each), words.level_of(each.status), words.status_word(each.status), words.service_detail(each)]
            for each in message.services
        ],
        "features": [
            [
                words.title(each),
                words.level_of(each.status),
                words.status_word(each.status),
                words.feature_detail(each, message.services),
            ]
            for each in message.features
        ],
    }


def test_the_server_and_the_script_say_the_same(tmp_path: Path) -> None:
    """Of two thousand messages, in every word."""
    chance = random.Random(7)
    messages = [some_message(chance) for _ in range(2000)]
    spans = [0, 0.4, 59.9, 60, 3599, 3600, 172_799, 172_800, 9_999_999]
    cases = tmp_path / "cases.json"
    cases.write_text(json.dumps({"messages": [json.loads(codec.encode(each)) for each in messages], "spans": spans}))
    module = (Path(__file__).parents[3] / "clients/web/page/words.js").as_uri()
    found = json.loads(run_node("--input-type=module", "-e", SCRIPT, module, str(cases)))
    assert found["spans"] == [words.span(each) for each in spans]
    for message, said in zip(messages, found["said"], strict=True):
        assert said == said_by_the_server(message), codec.encode(message)
    levels = {each["overall"]["level"] for each in found["said"]}
    assert levels == {"up", "degraded", "down", "unknown"}
