"""Badges: a service's state as a picture that anybody can read, whatever its title or label is."""

from __future__ import annotations

from xml.etree import ElementTree

import msgspec
import pytest

from broadcaster.config.settings import Duration, FeedSettings, ServiceSettings, Settings, TcpProbe
from broadcaster.domain.model import Criticality, FeedState, Status
from broadcaster.manager.manager import ServiceAvailabilityManager
from broadcaster.node.pages.badge import badge, no_badge
from broadcaster.store.memory import MemoryStore
from tests.support.managers import SETTINGS, running_world, until

TCP = TcpProbe(host="127.0.0.1", port=1)
SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "</text><script>alert('\"&')</script>"


def manager(*, degradation: bool = True, title: str = "Sign-in") -> ServiceAvailabilityManager:
    services = {
        "auth": ServiceSettings(probe=TCP, title=title),
        "stats": ServiceSettings(probe=TCP, criticality=Criticality.OPTIONAL),
    }
    return ServiceAvailabilityManager(Settings(services=services, graceful_degradation=degradation), MemoryStore())


def texts(picture: bytes) -> list[str]:
    root = ElementTree.fromstring(picture)
    assert root.tag == f"{SVG}svg"
    return [each.text or "" for each in (*root.iter(f"{SVG}title"), *root.iter(f"{SVG}text"))]


def test_it_says_how_the_service_is() -> None:
    """In its title for readers, and in two words for eyes."""
    found = badge(manager(), "auth")
    assert texts(found.body) == ["Sign-in: not known", "Sign-in", "not known"]
    assert texts(badge(manager(), "stats").body)[1] == "stats"


async def test_what_nobody_looks_at_is_not_said_to_be_well() -> None:
    """A badge has no other place for it than its word: no worker is heard, or the carrier is lost."""
    feed = FeedSettings(heartbeat_interval=Duration(0.04), stale_after=Duration(0.4))
    async with running_world(msgspec.structs.replace(SETTINGS, feed=feed)) as world:
        await until(lambda: world.manager.feed_state is FeedState.LIVE)
        assert texts(badge(world.manager, "auth").body)[0] == "auth: up"
        world.now += 1
        await until(lambda: world.manager.feed_state is FeedState.UNWATCHED)
        assert texts(badge(world.manager, "auth").body)[0] == "auth: last seen up"
        await world.commit("auth", Status.DOWN)
        await until(lambda: world.manager.status("auth") is Status.DOWN)
        assert texts(badge(world.manager, "auth").body)[0] == "auth: down"


@pytest.mark.parametrize("label", [HOSTILE, "\x00\x1b[31m]]>", "x" * 500, "ملف", "服务 状态", "🙂", "  a \n b "])
def test_any_label_is_text(label: str) -> None:
    """Escaped, cut, and without what no XML may have."""
    for found in (badge(manager(), "auth", label), badge(manager(title=label), "auth"), no_badge(label)):
        root = ElementTree.fromstring(found.body)
        assert {each.tag.removeprefix(SVG) for each in root.iter()} == {"svg", "title", "clipPath", "rect", "g", "text"}
        assert 40 < int(root.attrib["width"]) < 900
        assert len(texts(found.body)[1]) <= 60


def test_the_tag_tells_states_and_labels_apart() -> None:
    """What differs is fetched anew."""
    tags = {badge(manager(), "auth").tag, badge(manager(), "auth", "Login").tag, no_badge().tag}
    assert len(tags) == 3
    assert badge(manager(), "auth").tag == badge(manager(), "auth").tag


def test_who_is_not_announced_has_no_badge() -> None:
    """Neither a service that is not there nor one that users do not hear of."""
    for made, service in ((manager(), "nobody"), (manager(degradation=False), "stats")):
        with pytest.raises(KeyError):
            badge(made, service)
    assert texts(no_badge().body)[2] == "no such service"
