"""Who is told what, in which order and in how many writes, while members come, go, pause and come back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import pytest

from broadcaster.node.fanout import CHECK_EVERY, Circle, Fanout


def write_all(clients: Sequence[Client], frame: bytes) -> None:
    for each in clients:
        each.write(frame)


class Client:
    """A member with a memory: every write, and what the hub would have given it by its own way."""

    def __init__(self, circle: Circle[Client]) -> None:
        self.circle = circle
        self.writes: list[bytes] = []
        self.is_slow = False

    def write(self, data: bytes) -> None:
        self.writes.append(data)
        if self.is_slow:
            self.circle.remove(self)

    @property
    def received(self) -> bytes:
        return b"".join(self.writes)


def make(fanout: Fanout, *, most_bytes: int = 1_000_000) -> Circle[Client]:
    return Circle(fanout, truth=lambda: b"truth", most_bytes=most_bytes, write=write_all)


def clients(circle: Circle[Client], number: int) -> list[Client]:
    made = [Client(circle) for _ in range(number)]
    for each in made:
        circle.add(each)
    return made


async def idle(circle: Circle[Client]) -> None:
    async with asyncio.timeout(30):
        while not circle.is_idle:
            await asyncio.sleep(0)


@pytest.fixture
async def circle() -> Circle[Client]:
    return make(Fanout(asyncio.get_running_loop()))


@pytest.fixture
async def hurried() -> Circle[Client]:
    """One that yields after every few writes."""
    return make(Fanout(asyncio.get_running_loop(), slice_seconds=0.0))


async def test_everybody_is_told_once_and_in_order(circle: Circle[Client]) -> None:
    members = clients(circle, 100)
    for frame in (b"1", b"2"):
        circle.send(frame)
        await idle(circle)
    assert [each.writes for each in members] == [[b"1", b"2"]] * 100


async def test_what_is_told_in_one_turn_is_one_write(circle: Circle[Client]) -> None:
    """Fifty in a burst are one write for each, none lost."""
    members = clients(circle, 10)
    for number in range(50):
        circle.send(b"%d;" % number)
    await idle(circle)
    assert [each.writes for each in members] == [[b"".join(b"%d;" % number for number in range(50))]] * 10


async def test_a_large_round_gives_the_loop_its_turns(hurried: Circle[Client]) -> None:
    """After each slice whatever else waits has its turn; and news in the middle of a round waits for its end."""
    members = clients(hurried, 10 * CHECK_EVERY)
    hurried.send(b"1")
    turns = 0
    while not hurried.is_idle:
        await asyncio.sleep(0)
        turns += 1
        if turns == 3:
            assert 0 < sum(bool(each.writes) for each in members) < len(members)
            hurried.send(b"2")
            hurried.send(b"3")
    assert turns >= 20
    assert [each.writes for each in members] == [[b"1", b"23"]] * len(members)


async def test_nobody_is_told_what_it_knows_by_its_welcome(hurried: Circle[Client]) -> None:
    """Joining before a round, in it, and between two things told in it: only what came after the join."""
    clients(hurried, 10 * CHECK_EVERY)
    hurried.send(b"1")
    [before] = clients(hurried, 1)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    [during] = clients(hurried, 1)
    hurried.send(b"2")
    [between] = clients(hurried, 1)
    hurried.send(b"3")
    [last] = clients(hurried, 1)
    await idle(hurried)
    assert [each.received for each in (before, during, between, last)] == [b"23", b"23", b"3", b""]


async def test_whoever_leaves_is_told_nothing_more(hurried: Circle[Client]) -> None:
    members = clients(hurried, 4 * CHECK_EVERY)
    hurried.send(b"1")
    await asyncio.sleep(0)
    gone = members[-1]
    assert hurried.remove(gone)
    assert not hurried.remove(gone)
    await idle(hurried)
    assert gone.writes == []
    assert len(hurried) == len(members) - 1


async def test_whoever_comes_back_in_the_same_round_has_had_its_truth(hurried: Circle[Client]) -> None:
    """Taken off before its turn and put back with a snapshot: the round's frame is in that."""
    members = clients(hurried, 4 * CHECK_EVERY)
    hurried.send(b"1")
    await asyncio.sleep(0)
    hurried.remove(members[-1])
    hurried.add(members[-1])
    hurried.send(b"2")
    await idle(hurried)
    assert members[-1].received == b"2"


async def test_a_write_may_take_its_own_member_off(circle: Circle[Client]) -> None:
    members = clients(circle, 3)
    members[1].is_slow = True
    circle.send(b"1")
    await idle(circle)
    circle.send(b"2")
    await idle(circle)
    assert [each.received for each in members] == [b"12", b"1", b"12"]


async def test_a_late_member_may_be_taken_off_by_its_first_write(hurried: Circle[Client]) -> None:
    clients(hurried, 4 * CHECK_EVERY)
    hurried.send(b"1")
    await asyncio.sleep(0)
    hurried.send(b"2")
    [late] = clients(hurried, 1)
    late.is_slow = True
    hurried.send(b"3")
    await idle(hurried)
    assert late.writes == [b"3"]
    assert late not in hurried


@pytest.mark.parametrize("seed", range(30))
async def test_whatever_happens_everybody_is_told_all_that_it_should_know(hurried: Circle[Client], seed: int) -> None:
    """Members come, go and come back at any moment: each hears exactly what was told while it was there.

    Who comes back hears nothing twice: what was told while it was away, or was still on its way, is in the truth it
    is given then.
    """
    chance = random.Random(seed)
    members = clients(hurried, 3 * CHECK_EVERY)
    expected = {each: [b""] for each in members}
    for number in range(200):
        match chance.choice(("send", "send", "add", "remove", "return", "turn", "turn")):
            case "send":
                hurried.send(b"%d;" % number)
                for each in hurried:
                    expected[each][-1] += b"%d;" % number
            case "add":
                [made] = clients(hurried, 1)
                expected[made] = [b""]
            case "remove":
                hurried.remove(chance.choice(members))
            case "return":
                each = chance.choice(members)
                if each not in hurried:
                    hurried.add(each)
                    expected[each].append(b"")
                    each.writes.append(b"|")
            case "turn":
                await asyncio.sleep(0)
    await idle(hurried)
    for each, parts in expected.items():
        told = each.received.split(b"|")
        assert len(told) == len(parts)
        *cut_short, whole = zip(told, parts, strict=True)
        assert all(should.startswith(was) for was, should in cut_short)
        if each in hurried:
            assert whole[0] == whole[1]
        else:
            assert whole[1].startswith(whole[0])
