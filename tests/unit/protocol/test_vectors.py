"""The language-neutral vectors, against this implementation: messages, records, replica sequences, close codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from broadcaster.domain.errors import ProtocolError
from broadcaster.domain.model import Plan, Position, ServiceState, Snapshot, Status
from broadcaster.domain.replica import Replica
from broadcaster.protocol import codec
from broadcaster.protocol.closing import CATALOGUE, MAX_REASON_BYTES, fit_reason
from broadcaster.protocol.messages import AnyMessage
from broadcaster.protocol.records import HeartbeatRecord, PlanRecord, TransitionRecord

VECTORS = Path(__file__).parents[2] / "vectors"


def load(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text())
    return content


def named(cases: list[dict[str, Any]]) -> list[Any]:
    """The cases as parameters that go by their names."""
    return [pytest.param(case, id=case["name"]) for case in cases]


MESSAGES, RECORDS, REPLICA, CLIENT, CLOSING = map(load, ("messages", "records", "replica", "client", "closing"))


@pytest.mark.parametrize("case", named(MESSAGES["valid"]))
def test_a_message_is_read_and_written_alike(case: dict[str, Any]) -> None:
    """Decoding and encoding a message gives the same JSON."""
    assert json.loads(codec.encode(codec.decode_message(json.dumps(case["message"])))) == case["message"]


@pytest.mark.parametrize("case", named(MESSAGES["lenient"]))
def test_a_message_of_another_minor_version_is_read(case: dict[str, Any]) -> None:
    """Fields that are not known are ignored, missing ones have their defaults."""
    read = codec.decode_message(json.dumps(case["message"]))
    assert read == codec.decode_message(json.dumps(case["means"]))


@pytest.mark.parametrize("case", named(MESSAGES["invalid"]))
def test_what_is_no_message_is_refused(case: dict[str, Any]) -> None:
    """Anything else is a ProtocolError, and never another exception."""
    with pytest.raises(ProtocolError):
        codec.decode_message(case["text"])


@pytest.mark.parametrize("case", named(RECORDS["valid"]))
def test_a_record_is_read_and_written_alike(case: dict[str, Any]) -> None:
    """Decoding and encoding a record gives the same JSON."""
    assert json.loads(codec.encode(codec.decode_record(json.dumps(case["record"])))) == case["record"]


@pytest.mark.parametrize("case", named(RECORDS["invalid"]))
def test_what_is_no_record_is_refused(case: dict[str, Any]) -> None:
    """Anything else is a ProtocolError, and never another exception."""
    with pytest.raises(ProtocolError):
        codec.decode_record(case["text"])


def test_every_type_of_message_has_a_vector() -> None:
    """No message type is left out of the vectors, and none that is gone is left in."""
    known = {kind.__struct_config__.tag for kind in AnyMessage.__args__}
    assert {case["message"]["type"] for case in MESSAGES["valid"]} == known


def snapshot(described: dict[str, Any]) -> Snapshot:
    return Snapshot(
        position=Position(described["epoch"], described["revision"]),
        services={
            name: ServiceState(service=name, status=Status(each["status"]), observed_at=each.get("observed_at"))
            for name, each in described["services"].items()
        },
    )


@pytest.mark.parametrize("case", named(REPLICA["sequences"]))
def test_a_replica_follows_the_sequence(case: dict[str, Any]) -> None:
    """Each record has the outcome that the vector states, and the end is the state that it states."""
    replica = Replica(snapshot(case["start"]))
    for number, step in enumerate(case["steps"]):
        if "load" in step:
            replica.load(snapshot(step["load"]))
            continue
        match codec.decode_record(json.dumps(step["record"])):
            case TransitionRecord() | PlanRecord() as record:
                assert replica.apply(record.entry()).value == step["outcome"], f"step {number}"
            case HeartbeatRecord(epoch=epoch, revision=revision, observed=observed):
                assert replica.is_behind(Position(epoch, revision)) is step["is_behind"], f"step {number}"
                replica.observe(observed)
            case other:
                pytest.fail(f"step {number} is {other}")
    final = case["final"]
    assert replica.position == Position(final["epoch"], final["revision"])
    assert {name: state.status.value for name, state in replica.snapshot.services.items()} == {
        name: each["status"] for name, each in final["services"].items()
    }
    for name, each in final["services"].items():
        if "observed_at" in each:
            assert replica.snapshot.state(name).observed_at == each["observed_at"]
        if "plans" in each:
            assert replica.snapshot.state(name).plans == msgspec.convert(each["plans"], tuple[Plan, ...])


@pytest.mark.parametrize("case", named(CLIENT["sequences"]))
def test_client_sequences_are_made_of_real_messages(case: dict[str, Any]) -> None:
    """What the client vectors show is what a node would write, but for types that are not known."""
    for step in case["steps"]:
        if step["message"]["type"] != "gossip":
            assert json.loads(codec.encode(codec.decode_message(json.dumps(step["message"])))) == step["message"]


def test_the_close_codes_are_the_catalogue() -> None:
    """The vectors list every close code with its reason and what to do."""
    assert CLOSING["codes"] == [
        {"code": each.code, "name": each.name, "reason": each.reason, "reconnect": each.reconnect.value}
        for each in CATALOGUE
    ]


@pytest.mark.parametrize("case", CLOSING["fit_reason"], ids=range(len(CLOSING["fit_reason"])))
def test_a_reason_is_cut_at_a_character(case: dict[str, str]) -> None:
    """A reason fits a close frame, is still UTF-8, and says that it was cut."""
    fitted = fit_reason(case["text"])
    assert fitted == case["fitted"]
    assert len(fitted.encode()) <= MAX_REASON_BYTES
