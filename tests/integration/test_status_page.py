"""What the node serves to look at, over HTTP: the page, the feed of incidents, badges; for users and for operators."""

from __future__ import annotations

import asyncio
import base64
import re
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest

from broadcaster.store.redis import RedisStore
from tests.support.past import write_past
from tests.support.ports import LOOPBACK, free_port
from tests.support.stack import DEADLINE, Program, Stack, run_stack

ATOM = "{http://www.w3.org/2005/Atom}"
TOKEN = "an operator's token: ü"
HOSTILE = "<script>alert('\"&')</script>"


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"operator:{password}".encode()).decode()


async def until_page(node: Program, text: str) -> str:
    """Waits until the page says so; the page."""
    async with asyncio.timeout(DEADLINE):
        while text not in (found := (await node.get("/")).text):
            await asyncio.sleep(0.05)
    return found


def entries(feed: str) -> list[dict[str, str]]:
    """A feed's entries by the names of what they have, after looking whether it is one (RFC 4287)."""
    root = ElementTree.fromstring(feed)
    assert root.tag == f"{ATOM}feed"
    for parent in (root, *root.iter(f"{ATOM}entry")):
        for needed in ("id", "title", "updated"):
            [found] = parent.findall(f"{ATOM}{needed}")
            assert found.text
        assert parent.findtext(f"{ATOM}id", "").startswith("urn:uuid:")
    assert root.find(f"{ATOM}author/{ATOM}name") is not None
    assert [each.attrib["rel"] for each in root.findall(f"{ATOM}link")] == ["self", "alternate"]
    made = [{child.tag.removeprefix(ATOM): child.text or "" for child in entry} for entry in root.iter(f"{ATOM}entry")]
    for entry in made:
        assert datetime.fromisoformat(entry["published"]) <= datetime.fromisoformat(entry["updated"])
    assert len({entry["id"] for entry in made}) == len(made)
    assert root.findtext(f"{ATOM}updated") == max(entry["updated"] for entry in made) if made else True
    return made


async def test_the_page_is_made_once_and_sent_packed(tmp_path: Path) -> None:
    """Whoever has it is told so; whoever takes gzip gets it; nobody keeps it without asking."""
    async with run_stack(tmp_path) as stack:
        node = stack.nodes[0]
        plain = await node.get("/", **{"accept-encoding": "identity"})
        assert (plain.status_code, plain.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert plain.headers["cache-control"] == "no-cache"
        assert "content-encoding" not in plain.headers
        assert "All systems operational" in plain.text
        packed = await node.get("/", **{"accept-encoding": "br, gzip"})
        assert packed.headers["content-encoding"] == "gzip"
        assert "Accept-Encoding" in packed.headers["vary"]
        assert int(packed.headers["content-length"]) < len(packed.content) / 3
        for path in ("/style.css", "/sdk/index.js", "/feed.atom", "/badge/auth.svg"):
            first = await node.get(path)
            again = await node.get(path, **{"if-none-match": f'"other", {first.headers["etag"]}'})
            assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
            assert again.headers["etag"] == first.headers["etag"]


async def test_an_outage_is_on_the_page_in_the_feed_and_on_the_badge(tmp_path: Path) -> None:
    """Begun and ended; the feed has an entry for each, whose ids every node gives alike, also after a restart."""
    async with run_stack(tmp_path, nodes=2) as stack:
        node, other = stack.nodes
        assert entries((await node.get("/feed.atom")).text) == []
        await stack.services["analytics"].kill()
        await stack.until_status({"analytics": "down"})
        page = await until_page(node, "Analytics unavailable")
        assert "Ongoing" in page
        assert re.search(r"over \d+ (s|min), 1 outage\b", page)
        assert "Analytics: down" in (await node.get("/badge/analytics.svg")).text
        [begun] = entries((await node.get("/feed.atom")).text)
        assert (begun["title"], begun["summary"]) == ("Analytics unavailable", "Affected: Usage reports.")
        await stack.services["analytics"].start()
        await stack.until_status({"analytics": "up"})
        await until_page(node, "Resolved after")
        ended, first = entries((await node.get("/feed.atom")).text)
        assert first == begun
        assert ended["title"] == "Resolved: Analytics unavailable"
        assert "Analytics recovered." in ended["content"]
        assert "Analytics: up" in (await node.get("/badge/analytics.svg")).text
        await other.kill()
        await other.start()
        await until_page(other, "Resolved after")
        for each in (node, other):
            assert entries((await each.get("/feed.atom")).text) == [ended, first]


async def test_a_quarter_is_read_from_the_carrier(tmp_path: Path) -> None:
    """Each day of 90, and what happened on it; days before the first knowledge are no data, not well."""
    services = ("auth", "analytics")
    async with run_stack(tmp_path, services=services, worker=False) as stack:
        async with RedisStore.connect(stack.redis.url) as store:
            await write_past(store, services, days=60)
        node = stack.nodes[0]
        await node.kill()
        await node.start()
        page = await until_page(node, "Resolved after 4 h")
        rows = page.split('<li class="row"')[-2:]
        for row, outages in zip(rows, ("1 outage", "1 outage"), strict=True):
            assert f"over 61 days, {outages}" in row
            days = re.findall(r'<i class="(\w+)" title="([^"]+)">', row)
            assert len(days) == 90
            assert [level for level, _ in days[:29]] == ["none"] * 29
            assert all(level != "none" for level, _ in days[29:])
            assert days[0][1].endswith(": no data")
        assert "down 4 h" in page
        assert len(entries((await node.get("/feed.atom")).text)) == 8


async def test_every_process_of_a_port_says_the_same(tmp_path: Path) -> None:
    """Whichever of four answers: the same incidents, and the same ids in the feed."""
    async with run_stack(tmp_path, services=("auth",), nodes=0) as stack:
        node = await several(stack)
        try:
            await stack.services["auth"].kill()
            async with httpx.AsyncClient(trust_env=False, timeout=DEADLINE) as client:
                async with asyncio.timeout(DEADLINE):
                    while not all("Ongoing" in each for each in await many(client, node.url + "/")):
                        await asyncio.sleep(0.05)
                feeds = await many(client, node.url + "/feed.atom")
            assert len(set(feeds)) == 1
            assert len(entries(feeds[0])) == 1
        finally:
            await node.kill()


async def several(stack: Stack) -> Program:
    """One port with four processes."""
    port = free_port()
    arguments = ("--host", LOOPBACK, "--port", str(port), "--workers", "4")
    node = stack.program("node", "serve", *arguments, port=port, env={})
    await node.start()
    stack.nodes.append(node)
    await stack.until_status({"auth": "up"})
    return node


async def many(client: httpx.AsyncClient, url: str) -> list[str]:
    """Forty answers over connections of their own, so that all processes give some."""
    return [(await client.get(url, headers={"connection": "close"})).text for _ in range(40)]


async def test_operators_prove_it_and_users_learn_nothing(tmp_path: Path) -> None:
    """The token as a password, or as a bearer; everybody else sees neither hosts nor causes nor response times."""
    changes = {"node": {"operator_token": TOKEN}}
    async with run_stack(tmp_path, changes=changes) as stack:
        node = stack.nodes[0]
        await stack.services["auth"].kill()
        await stack.until_status({"auth": "down"})
        await until_page(node, "Ongoing")
        for public in ("/", "/feed.atom", "/badge/auth.svg"):
            found = (await node.get(public, authorization=basic(TOKEN))).text
            for internal in ("127.0.0.1", str(stack.services["auth"].port), "spark", 'class="internal"', " ms"):
                assert internal not in found
        for wrong in ("", basic("wrong"), basic(""), "Basic !!", "Basic", "Bearer wrong", "Negotiate x"):
            answer = await node.get("/?audience=operators", **({"authorization": wrong} if wrong else {}))
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Basic realm=")
            assert "Sign-in" not in answer.text
        answer = await node.get("/?audience=operators", authorization=basic(TOKEN))
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert 'class="internal"' in answer.text
        assert "refused" in answer.text


async def test_without_a_token_in_the_file_there_are_no_operators(tmp_path: Path) -> None:
    """An empty password does not open a page without a token."""
    async with run_stack(tmp_path, services=("auth",)) as stack:
        for given in (basic(""), "Bearer", "Basic Og=="):
            answer = await stack.nodes[0].get("/?audience=operators", authorization=given)
            assert answer.status_code == 401


async def test_whatever_a_title_is_it_is_text(tmp_path: Path) -> None:
    """In the page, the feed and the badge; and so is what a link to a badge asks for."""
    texts = {"down": HOSTILE}
    changes = {"features": {"chat": {"title": HOSTILE, "requires": ["auth"], "texts": texts}}}
    async with run_stack(tmp_path, services=("auth",), changes=changes) as stack:
        node = stack.nodes[0]
        await stack.services["auth"].kill()
        await stack.until_status({"auth": "down"})
        page = await until_page(node, "Ongoing")
        assert "<script>" not in page
        assert page.count("&lt;script&gt;") >= 3
        [entry] = entries((await node.get("/feed.atom")).text)
        assert HOSTILE in entry["summary"]
        assert "<script>" not in entry["content"]
        picture = await node.get("/badge/auth.svg?label=%3Cscript%3E%00%22")
        assert "<script>" not in picture.text
        ElementTree.fromstring(picture.text)


@pytest.mark.parametrize("path", ["/badge/nobody.svg", "/badge/..%2f..%2fetc.svg", "/badge/%3Cscript%3E.svg"])
async def test_a_badge_of_nothing_says_so(tmp_path: Path, path: str) -> None:
    """404, and a picture all the same: it stands in somebody's page."""
    async with run_stack(tmp_path, services=("auth",)) as stack:
        answer = await stack.nodes[0].get(path)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "image/svg+xml"
        assert answer.headers["content-security-policy"] == "default-src 'none'"
        assert "no such service" in answer.text
        assert "<script>" not in answer.text


async def test_the_documents_badges_are_there(tmp_path: Path) -> None:
    """As docs/status-page.md and the README have them."""
    root = Path(__file__).parents[2]
    text = (root / "docs" / "status-page.md").read_text() + (root / "README.md").read_text()
    paths = re.findall(r"https://status\.example\.com(/badge/[^)]+)", text)
    assert len(paths) == 3
    async with run_stack(tmp_path, services=("auth",)) as stack:
        for path in paths:
            answer = await stack.nodes[0].get(path)
            assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml")
            assert answer.headers["cache-control"] == "no-cache"
            assert ("Login: up" if "label=Login" in path else "Sign-in: up") in answer.text


async def test_words_of_another_language_are_marked_as_such(tmp_path: Path) -> None:
    """The page is in English, and the settings' sentences may be in what they are."""
    chat = {"title": "Chat", "requires": ["auth"], "texts": {"down": "Der Chat geht gerade nicht."}}
    changes = {"default_locale": "de", "features": {"chat": chat}}
    async with run_stack(tmp_path, services=("auth",), changes=changes) as stack:
        await stack.services["auth"].kill()
        await stack.until_status({"auth": "down"})
        page = await until_page(stack.nodes[0], "Ongoing")
        assert '<p class="row-detail" lang="de">Der Chat geht gerade nicht. Cause: Sign-in.</p>' in page
        assert '<span class="update-text">Sign-in is unavailable.' in page

        def reword(settings: dict[str, Any]) -> None:
            settings["services"]["auth"]["texts"] = {"down": "Niemand kann sich anmelden."}

        await stack.edit(reword)
        page = await until_page(stack.nodes[0], "Niemand kann sich anmelden.")
        assert '<span class="update-text" lang="de">Niemand kann sich anmelden.' in page
        [entry] = entries((await stack.nodes[0].get("/feed.atom")).text)
        assert '<span lang="de">Niemand kann sich anmelden.</span>' in entry["content"]
