"""Response times in a node's memory, and the line that is drawn of them."""

from __future__ import annotations

from broadcaster.node.pages.latencies import HEIGHT, MOST, WIDTH, Latencies, line, milliseconds
from tests.support.managers import World, running_world, until


async def beat(world: World, at: float, seconds: float) -> None:
    position = (await world.store.snapshot()).position
    await world.store.heartbeat("w", at, {"auth": at}, position, {"auth": seconds})
    await until(lambda: world.manager.latencies.get("auth") == (at, seconds))


async def test_each_probe_is_kept_once_and_the_latest_of_them() -> None:
    """What heartbeats say of how long probes took, of a bounded number of probes."""
    async with running_world() as world:
        found = Latencies(world.manager)
        found.tick()
        assert found.of("auth") == ()
        await until(lambda: "auth" not in world.manager.latencies)
        for number in range(MOST + 5):
            await beat(world, 2000.0 + number, number / 1000)
            found.tick()
            found.tick()
        points = found.of("auth")
        assert len(points) == MOST
        assert points[0] == (2005.0, 0.005)
        assert points[-1] == (2000.0 + MOST + 4, (MOST + 4) / 1000)


def test_the_line_goes_from_the_oldest_to_the_latest() -> None:
    """On a scale that begins at nothing, and says itself in words."""
    made = line([(100.0, 0.010), (160.0, 0.040), (220.0, 0.020)])
    assert made is not None
    assert made.path == f"M0.0 20.0L{WIDTH / 2:.1f} 2.0L{WIDTH:.1f} 14.0"
    assert made.text == "Response time 20 ms; 10 ms to 40 ms over the last 2 min"


def test_a_line_of_little_is_a_line() -> None:
    """Nothing, one probe, and one that took no time."""
    assert line([]) is None
    one = line([(100.0, 0.004)])
    assert one is not None
    assert (one.path, one.last) == (f"M0.0 2.0h{WIDTH}", "4.0 ms")
    none = line([(100.0, 0.0), (100.0, 0.0)])
    assert none is not None
    assert none.path == f"M0.0 {HEIGHT - 2:.1f}L0.0 {HEIGHT - 2:.1f}"


def test_milliseconds_have_a_digit_where_it_says_something() -> None:
    assert [milliseconds(each) for each in (0.0004, 0.00999, 0.25, 12.0)] == ["0.4 ms", "10.0 ms", "250 ms", "12000 ms"]
