"""The language-neutral vectors, against the Python client."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from broadcaster_client.errors import OutOfDate, ProtocolError, UnknownType
from broadcaster_client.messages import SUBPROTOCOL, AnyMessage, Position, decode
from broadcaster_client.notices import ServiceChanged, Snapshot, WorkPlanned
from broadcaster_client.reconnects import delay, rule
from broadcaster_client.replica import Applied, Replica

VECTORS = Path(__file__).parents[2] / "vectors"


def load(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text())
    return content


def named(cases: list[dict[str, Any]]) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in cases]


MESSAGES, REPLICA, CLIENT, CLOSING = map(load, ("messages", "replica", "client", "closing"))


def read(message: dict[str, Any]) -> AnyMessage:
    return decode(json.dumps(message))


def with_languages(told: Any) -> Any:
    """A message with what a missing ``lang`` beside a text means: English."""
    if isinstance(told, list):
        return [with_languages(each) for each in told]
    if not isinstance(told, dict):
        return told
    found = {name: with_languages(each) for name, each in told.items()}
    return {"lang": "en"} | found if "text" in found else found


@pytest.mark.parametrize("case", named(MESSAGES["valid"]))
def test_a_message_is_read_whole(case: dict[str, Any]) -> None:
    """No field of a message is lost: encoded again, it is the same JSON."""
    assert json.loads(msgspec.json.encode(read(case["message"]))) == with_languages(case["message"])


@pytest.mark.parametrize("case", named(MESSAGES["lenient"]))
def test_a_message_of_another_minor_version_is_read(case: dict[str, Any]) -> None:
    """Fields that are not known are ignored, missing ones have their defaults."""
    assert read(case["message"]) == read(case["means"])


@pytest.mark.parametrize("case", named(MESSAGES["invalid"]))
def test_what_is_no_message_is_refused(case: dict[str, Any]) -> None:
    """Anything else is a ProtocolError, and never another exception."""
    with pytest.raises(ProtocolError):
        decode(case["text"])


def test_a_word_that_is_not_known_is_no_reason_to_refuse_a_service() -> None:
    """Categories may become more; a service with one of them is still what it is."""
    [case] = [each for each in MESSAGES["valid"] if each["message"]["type"] == "notice"][:1]
    changed = {**case["message"], "service": {**case["message"]["service"], "category": "of a later version"}}
    message = read(changed)
    assert json.loads(msgspec.json.encode(message))["service"]["category"] == "of a later version"


@pytest.mark.parametrize("kind", ["welcome", "notice", "planned", "feed", "rejected", "goodbye"])
def test_the_language_of_every_text_is_read(kind: str) -> None:
    """Beside the message's text, and beside that of each feature; without one it is English."""
    case = next(each["message"] for each in MESSAGES["valid"] if each["message"]["type"] == kind)
    features = [{"name": "f", "title": "F", "status": "limited", "text": "Langsam.", "lang": "de-AT"}]
    spoken = read({**case, "text": "Hallo.", "lang": "de", **({"features": features} if "features" in case else {})})
    assert spoken.lang == "de"
    assert [each.lang for each in getattr(spoken, "features", ())] == (["de-AT"] if "features" in case else [])
    silent = read({name: each for name, each in case.items() if name != "lang"})
    assert silent.lang == "en"


def test_a_later_version_of_the_protocol_is_not_guessed_at() -> None:
    """It says that it is out of date, whatever the message, and also where it cannot read it."""
    for text in ('{"type": "welcome", "v": 2}', '{"type": "gossip", "v": 7}'):
        with pytest.raises(OutOfDate, match="out of date"):
            decode(text)


@pytest.mark.parametrize("case", named(CLIENT["sequences"]))
def test_a_client_follows_the_sequence(case: dict[str, Any]) -> None:
    """Each message tells what the vector states, and the end is the state that it states."""
    replica = Replica()
    for number, step in enumerate(case["steps"]):
        try:
            _, news = replica.apply(read(step["message"]))
        except UnknownType:
            news = ()
        told = [each.kind for each in news if not (isinstance(each, ServiceChanged | WorkPlanned) and each.quiet)]
        assert told == step["events"], f"step {number}"
    found = replica.snapshot
    assert {
        "feed": found.feed,
        "revision": found.position.revision,
        "services": {name: each.status for name, each in found.services.items()},
        "features": {name: each.status for name, each in found.features.items()},
    } == case["final"]


def service(name: str, status: str) -> dict[str, Any]:
    return {"name": name, "title": name, "status": status, "criticality": "critical"}


def view(described: dict[str, Any]) -> AnyMessage:
    """A snapshot of the carrier as a node would tell it, if it announced every service."""
    services = [service(name, each["status"]) for name, each in described["services"].items()]
    position = {"epoch": described["epoch"], "revision": described["revision"]}
    return read({"type": "snapshot", "position": position, "at": "2026-01-01T10:00:00Z", "services": services})


def news(record: dict[str, Any], held: Snapshot) -> AnyMessage | None:
    """A record as a node would tell it; None for a heartbeat, which it does not tell of."""
    place = {
        "position": {"epoch": record["epoch"], "revision": record["revision"]},
        "at": "2026-01-01T10:00:00Z",
    }
    match record["type"]:
        case "transition":
            its = service(record["service"], record["status"])
            return read({"type": "notice", "kind": record["kind"], "service": its, **place})
        case "plan":
            its = service(record["service"], held.status(record["service"]).value)
            return read({"type": "planned", "service": its, **place})
    assert record["type"] == "heartbeat"
    return None


@pytest.mark.parametrize("case", named(REPLICA["sequences"]))
def test_positions_mean_the_same_as_to_a_node(case: dict[str, Any]) -> None:
    """What is applied, a duplicate, or of a new epoch to a node's replica is so to a client, and both end alike.

    But for holes, where a sequence ends for a client: it has them, as not every service is announced.
    """
    replica = Replica()
    replica.apply(view(case["start"]))
    for number, step in enumerate(case["steps"]):
        if "load" in step:
            replica.apply(view(step["load"]))
        elif (message := news(step["record"], replica.snapshot)) is not None:
            outcome, _ = replica.apply(message)
            if step["outcome"] == "gap":
                assert outcome is Applied.APPLIED
                return
            assert outcome == step["outcome"], f"step {number}"
    final, found = case["final"], replica.snapshot
    assert found.position == Position(final["epoch"], final["revision"])
    assert {name: each.status for name, each in found.services.items()} == {
        name: each["status"] for name, each in final["services"].items()
    }


def test_news_without_the_whole_truth_is_a_gap() -> None:
    """Nothing is made up from a notice that is the first of what is heard."""
    replica = Replica()
    for case in MESSAGES["valid"]:
        if case["message"]["type"] in ("notice", "planned", "feed"):
            assert replica.apply(read(case["message"])) == (Applied.GAP, ())
    assert replica.snapshot == Snapshot()


def test_close_codes_mean_what_the_catalogue_says() -> None:
    """Every listed code, and those of the ranges; and none at all."""
    for each in [*CLOSING["codes"], *CLOSING["unlisted"]]:
        assert rule(each["code"]) == each["reconnect"], each["code"]
    assert rule(None) == "back_off"


def test_delays_are_those_of_the_page() -> None:
    """From half a second to a limit that doubles up to 20 seconds."""
    assert [(delay(failures, 0), delay(failures, 1)) for failures in (0, 1, 2, 5, 6, 50)] == [
        (0.5, most) for most in (0.5, 1.0, 2.0, 16.0, 20.0, 20.0)
    ]


def test_the_subprotocol_is_the_servers() -> None:
    from broadcaster.protocol import messages

    assert (messages.SUBPROTOCOL, messages.VERSION) == (SUBPROTOCOL, 1)
