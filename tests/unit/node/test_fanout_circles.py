"""Several circles on one fan-out: whose turn it is, and what becomes of more news than is worth telling one by one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence

import pytest

from broadcaster.node.fanout import CHECK_EVERY, Circle, Fanout

MANY = 4 * CHECK_EVERY
"""Members whose round takes several slices where every slice is as short as it can be."""


def write_all(clients: Sequence[Client], frame: bytes) -> None:
    for each in clients:
        each.write(frame)


class Client:
    """A member that remembers what was written to it."""

    def __init__(self, circle: Circle[Client]) -> None:
        self.circle = circle
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    @property
    def received(self) -> bytes:
        return b"".join(self.writes)


class Story:
    """A circle that is told numbers: ``3;`` is the third piece of news, ``=3;`` the state of things after it."""

    def __init__(self, fanout: Fanout, *, most_bytes: int = 1_000_000) -> None:
        self.circle: Circle[Client] = Circle(fanout, truth=self.truth, most_bytes=most_bytes, write=write_all)
        self.last = 0
        self.asked = 0

    def truth(self) -> bytes:
        self.asked += 1
        return b"=%d;" % self.last

    def tell(self, times: int = 1) -> None:
        for _ in range(times):
            self.last += 1
            self.circle.send(b"%d;" % self.last)

    def clients(self, number: int) -> list[Client]:
        made = [Client(self.circle) for _ in range(number)]
        for each in made:
            self.circle.add(each)
        return made


def numbers(first: int, last: int) -> bytes:
    return b"".join(b"%d;" % number for number in range(first, last + 1))


def known(received: bytes, at_first: int) -> int:
    """What somebody knows who knew ``at_first`` and received this. Fails on a hole, a repetition or a step back."""
    state = at_first
    for part in received.split(b";")[:-1]:
        if part.startswith(b"="):
            assert int(part[1:]) >= state, f"back to {part!r} after {state}"
            state = int(part[1:])
        else:
            assert int(part) == state + 1, f"{part!r} after {state}"
            state += 1
    return state


async def turns_until(is_over: Callable[[], bool]) -> int:
    """How many turns the loop takes until then."""
    turns = 0
    async with asyncio.timeout(30):
        while not is_over():
            await asyncio.sleep(0)
            turns += 1
    return turns


@pytest.fixture
async def fanout() -> Fanout:
    """One whose slices are long enough for all of a test."""
    return Fanout(asyncio.get_running_loop(), slice_seconds=30.0)


@pytest.fixture
async def hurried() -> Fanout:
    """One that gives the loop a turn after every few writes."""
    return Fanout(asyncio.get_running_loop(), slice_seconds=0.0)


# Turns.


async def test_circles_are_told_their_own(fanout: Fanout) -> None:
    """What one circle is told no member of another hears."""
    first, second, third = (Story(fanout) for _ in range(3))
    members = [story.clients(3) for story in (first, second, third)]
    first.tell(2)
    second.circle.send(b"other;")
    await turns_until(lambda: fanout.is_idle)
    assert [[each.received for each in group] for group in members] == [[b"1;2;"] * 3, [b"other;"] * 3, [b""] * 3]


async def test_small_circles_share_a_slice(fanout: Fanout) -> None:
    """A hundred circles with news take one turn of the loop together, not one each."""
    stories = [Story(fanout) for _ in range(100)]
    members = [story.clients(1) for story in stories]
    for story in stories:
        story.tell(3)
    assert await turns_until(lambda: fanout.is_idle) <= 2
    assert [each.writes for [each] in members] == [[b"1;2;3;"]] * 100


async def test_a_slice_ends_whoevers_turn_it_is(hurried: Fanout) -> None:
    """Many circles have no more of the loop in one turn than one circle with as many members."""
    stories = [Story(hurried) for _ in range(20)]
    members = [each for story in stories for each in story.clients(CHECK_EVERY)]
    for story in stories:
        story.tell()
    told, most = 0, 0
    while not hurried.is_idle:
        await asyncio.sleep(0)
        now = sum(bool(each.writes) for each in members)
        told, most = now, max(most, now - told)
    assert told == len(members)
    assert most <= 2 * CHECK_EVERY


async def test_circles_take_turns(hurried: Fanout) -> None:
    """A circle that always has news keeps no other from its own: each waits for one round of every other at most."""
    loud, quiet, last = (Story(hurried) for _ in range(3))
    loud.clients(MANY)
    [listener], [other] = quiet.clients(1), last.clients(1)
    loud.tell()
    quiet.tell()
    last.tell()

    async def turns(waiting: Client, writes: int) -> int:
        """Turns until it is told, while the loud circle is told something in every one of them."""
        taken = 0
        while len(waiting.writes) < writes:
            loud.tell()
            await asyncio.sleep(0)
            taken += 1
            assert taken < 100, "it starves"
        return taken

    round_of_loud = MANY // CHECK_EVERY
    assert await turns(other, 1) <= round_of_loud + 3
    assert listener.writes == [b"1;"], "the order of their news was not kept"
    for number in range(2, 10):
        quiet.tell()
        last.tell()
        assert await turns(other, number) <= 2 * round_of_loud + 5
        assert len(listener.writes) == number


async def test_the_loud_one_has_its_turns_too(hurried: Fanout) -> None:
    """Two circles that are told something all the time both get on, and hear all of it in order."""
    stories = [Story(hurried), Story(hurried)]
    members = [story.clients(MANY) for story in stories]
    for _ in range(100):
        for story in stories:
            story.tell()
        await asyncio.sleep(0)
    for group in members:
        assert all(len(each.writes) >= 5 for each in group)
    await turns_until(lambda: hurried.is_idle)
    assert {each.received for group in members for each in group} == {numbers(1, 100)}


async def test_a_circle_without_members_holds_nobody_up(hurried: Fanout) -> None:
    """News for nobody is dropped, and whoever comes afterwards does not hear it."""
    empty, other = Story(hurried), Story(hurried)
    [listener] = other.clients(1)
    empty.tell(5)
    other.tell()
    await turns_until(lambda: hurried.is_idle)
    assert listener.writes == [b"1;"]
    [newcomer] = empty.clients(1)
    await asyncio.sleep(0)
    assert newcomer.writes == []
    empty.tell()
    await turns_until(lambda: hurried.is_idle)
    assert newcomer.writes == [b"6;"]


@pytest.mark.parametrize("groups", [1, 20, 20 * CHECK_EVERY])
async def test_those_who_came_late_are_told_in_slices_too(hurried: Fanout, groups: int) -> None:
    """However many joined between news and its round, and after however many pieces, the loop has its turns."""
    story = Story(hurried)
    story.clients(MANY)
    story.tell()
    await asyncio.sleep(0)
    story.tell()
    late: list[Client] = []
    for _ in range(groups):
        late += story.clients(20 * CHECK_EVERY // groups)
        story.tell()
    [last] = story.clients(1)
    told, most = 0, 0
    while not hurried.is_idle:
        await asyncio.sleep(0)
        now = sum(bool(each.writes) for each in late)
        told, most = now, max(most, now - told)
    expected = [numbers(3 + number, 2 + groups) for number in range(groups) for _ in range(len(late) // groups)]
    assert [each.received for each in late] == expected
    assert last.writes == [], "there was nothing to tell it"
    assert most <= 2 * CHECK_EVERY, f"{most} of {len(late)} were told in one turn of the loop"


# Floods.


async def test_a_burst_is_told_piece_by_piece_up_to_the_limit(fanout: Fanout) -> None:
    """As many bytes as are allowed are told as they are; one more makes them the truth, once."""
    for pieces, expected in ((10, numbers(1, 9) + b"10;"), (11, b"=11;")):
        story = Story(fanout, most_bytes=len(numbers(1, 10)))
        members = story.clients(5)
        story.tell(pieces)
        await turns_until(lambda: fanout.is_idle)
        assert [each.writes for each in members] == [[expected]] * 5
        assert story.asked == (pieces > 10)


async def test_a_flood_is_the_truth_of_its_round_once(fanout: Fanout) -> None:
    """Ten thousand pieces are one write of what is true when it can be told, and not of what was true on the way."""
    story = Story(fanout, most_bytes=100)
    members = story.clients(50)
    story.tell(10_000)
    assert story.asked == 0
    await turns_until(lambda: fanout.is_idle)
    assert [each.writes for each in members] == [[b"=10000;"]] * 50
    assert story.asked == 1
    story.tell()  # and goes on as before
    await turns_until(lambda: fanout.is_idle)
    assert [each.writes[1:] for each in members] == [[b"10001;"]] * 50
    assert story.asked == 1


async def test_what_is_told_after_the_truth_comes_after_it(hurried: Fanout) -> None:
    """News in the middle of a flood's round waits for its end; nobody hears it before the truth, or not at all."""
    story = Story(hurried, most_bytes=20)
    members = story.clients(MANY)
    story.tell(100)
    await turns_until(lambda: any(each.writes for each in members))
    assert not all(each.writes for each in members)
    story.tell(2)
    await turns_until(lambda: hurried.is_idle)
    assert [each.writes for each in members] == [[b"=100;", b"101;102;"]] * MANY
    assert story.asked == 1


async def test_a_flood_in_the_middle_of_a_round_waits_for_its_end(hurried: Fanout) -> None:
    """What is on its way already is told to everybody as it is, and the truth comes after it."""
    story = Story(hurried, most_bytes=20)
    members = story.clients(MANY)
    story.tell()
    await turns_until(lambda: any(each.writes for each in members))
    story.tell(100)
    await turns_until(lambda: hurried.is_idle)
    assert [each.writes for each in members] == [[b"1;", b"=101;"]] * MANY


async def test_one_flood_after_the_other(hurried: Fanout) -> None:
    """Each is one truth; a flood that begins while the last one is being told is not lost in it."""
    story = Story(hurried, most_bytes=20)
    members = story.clients(MANY)
    for _ in range(3):
        story.tell(100)
        await asyncio.sleep(0)
    await turns_until(lambda: hurried.is_idle)
    assert {each.writes[0] for each in members} == {b"=100;"}
    assert {each.writes[-1] for each in members} == {b"=300;"}
    assert {len(each.writes) for each in members} == {2}
    assert story.asked == 2


async def test_whoever_joins_in_the_middle_of_a_flood_ends_with_the_truth(hurried: Fanout) -> None:
    """Before the first piece, between two, after the limit was passed, and while it is told: nothing old, no hole."""
    story = Story(hurried, most_bytes=20)
    story.clients(MANY)
    story.tell()
    await asyncio.sleep(0)  # from now on news waits
    joined: list[tuple[int, Client]] = []
    for pieces in (0, 1, 3, 100, 100):
        story.tell(pieces)
        [made] = story.clients(1)
        joined.append((story.last, made))
    await turns_until(lambda: story.asked > 0)
    [during] = story.clients(1)
    joined.append((story.last, during))
    await turns_until(lambda: hurried.is_idle)
    assert [known(each.received, at_first) for at_first, each in joined] == [205] * len(joined)
    assert [each.writes for _, each in joined[:4]] == [[b"=205;"]] * 4
    assert during.writes == []
    story.tell()
    await turns_until(lambda: hurried.is_idle)
    assert [each.writes[-1] for _, each in joined] == [b"206;"] * len(joined)


async def test_a_flood_of_one_circle_is_no_other_circles(hurried: Fanout) -> None:
    """Each counts its own bytes: who is told little is told all of it."""
    flooded, other = Story(hurried, most_bytes=20), Story(hurried, most_bytes=20)
    [wet], [dry] = flooded.clients(1), other.clients(1)
    other.tell(3)
    flooded.tell(1000)
    other.tell(3)
    await turns_until(lambda: hurried.is_idle)
    assert (wet.writes, dry.writes) == ([b"=1000;"], [b"1;2;3;4;5;6;"])


async def test_bytes_of_earlier_rounds_do_not_count(fanout: Fanout) -> None:
    """News that comes in its own time never becomes a flood, however much it is in all."""
    story = Story(fanout, most_bytes=10)
    [member] = story.clients(1)
    for _ in range(200):
        story.tell(2)
        await turns_until(lambda: fanout.is_idle)
    assert member.received == numbers(1, 400)
    assert story.asked == 0


@pytest.mark.parametrize("seed", range(30))
async def test_whatever_happens_the_last_that_everybody_knows_is_true(hurried: Fanout, seed: int) -> None:
    """Two circles, floods, members that come, go and come back: no hole, no step back, and at the end the truth.

    Whoever joins is given the truth of that moment by another way, as the hub does; who is away is told nothing.
    """
    chance = random.Random(seed)
    stories = [Story(hurried, most_bytes=60), Story(hurried, most_bytes=25)]
    began: dict[Client, int] = {}  # -> what it knew when it joined last
    away: dict[Client, int] = {}  # -> how many writes it had when it left
    for story in stories:
        began |= dict.fromkeys(story.clients(2 * CHECK_EVERY), 0)
    for _ in range(300):
        story = chance.choice(stories)
        match chance.choice(("tell", "tell", "flood", "join", "leave", "return", "turn", "turn", "turn")):
            case "tell":
                story.tell(chance.randrange(1, 4))
            case "flood":
                story.tell(chance.randrange(10, 40))
            case "join":
                began |= dict.fromkeys(story.clients(1), story.last)
            case "leave":
                member = chance.choice(list(began))
                if member.circle.remove(member):
                    away[member] = len(member.writes)
            case "return" if away:
                member = chance.choice(list(away))
                assert len(member.writes) == away.pop(member), "told while it was away"
                known(member.received, began[member])
                member.writes.clear()
                began[member] = next(each.last for each in stories if each.circle is member.circle)
                member.circle.add(member)
            case "turn":
                await asyncio.sleep(0)
    await turns_until(lambda: hurried.is_idle)
    assert all(story.asked for story in stories), "no flood in it"
    for story in stories:
        here = [member for member in began if member in story.circle]
        assert here
        assert {known(member.received, began[member]) for member in here} == {story.last}
    for member, writes in away.items():
        assert len(member.writes) == writes


async def test_a_circle_that_fails_silences_nobody() -> None:
    """Not the others, and not what it is told later."""
    fanout = Fanout(asyncio.get_running_loop())
    is_broken = True

    def write(clients: Sequence[Client], frame: bytes) -> None:
        if is_broken:
            raise RuntimeError("mine")
        write_all(clients, frame)

    broken: Circle[Client] = Circle(fanout, truth=lambda: b"", most_bytes=100, write=write)
    other = Story(fanout)
    [one], [two] = [Client(broken)], other.clients(1)
    broken.add(one)
    broken.send(b"1;")
    other.tell()
    await turns_until(lambda: fanout.is_idle)
    assert (one.received, two.received) == (b"", b"1;")
    is_broken = False
    broken.send(b"2;")
    await turns_until(lambda: fanout.is_idle)
    assert one.received == b"2;"
