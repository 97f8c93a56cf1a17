"""What a handshake asks to be told, and who is an operator: a query and a header, decided without a socket."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.domain.scope import Scope
from broadcaster.manager.operators import is_operator
from broadcaster.node.handshake import Refusal, asked

TOKEN = "token-of-operators"
BEARER = f"Bearer {TOKEN}".encode()
OPERATORS = "audience=operators"


def users(services: str = "", features: str = "") -> Scope:
    return Scope(services=frozenset(services.split()), features=frozenset(features.split()))


def status(found: Scope | Refusal) -> int | None:
    return found.status if isinstance(found, Refusal) else None


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("services=auth", users("auth")),
        ("services=auth,postgres", users("auth postgres")),
        ("services=postgres,auth,auth", users("auth postgres")),
        ("services=auth&services=postgres", users("auth postgres")),
        ("services=auth,redis&services=redis,postgres", users("auth postgres redis")),
        ("features=chat", users(features="chat")),
        ("features=chat&features=reports", users(features="chat reports")),
        ("services=auth&features=chat", users("auth", "chat")),
        ("audience=users", users()),
        ("audience=users&services=auth", users("auth")),
        ("services=%61uth", users("auth")),
        ("services=auth%2Cpostgres", users("auth postgres")),
        ("service%73=auth", users("auth")),
        ("services=auth,+postgres", users("auth postgres")),
        ("services=%20auth%20", users("auth")),
        ("services=,auth,,", users("auth")),
        ("services=a_b-c.d", users("a_b-c.d")),
        ("services=Auth", users("Auth")),
        ("services=st%C3%B6rung", users("störung")),
    ],
)
def test_a_query_asks_for_a_part(query: str, expected: Scope) -> None:
    """Names are separated by commas or stand in parameters of their own, percent-encoded or not, in any order."""
    assert asked(query, b"", "") == expected
    assert asked(query, b"", TOKEN) == expected


@pytest.mark.parametrize(
    "query",
    [
        "",
        "services=",
        "services",
        "features=&services=",
        "services=,",
        "services=%20",
        "&&&",
        "=",
        "service=auth",
        "Services=auth",
        "token=abc&v=1",
        "ticket=%zz",
        "internal=true",
        "operator=1&audiences=operators",
    ],
)
def test_without_a_name_it_is_everything(query: str) -> None:
    """Blanks ask for nothing, and parameters that are not ours are somebody else's: never a reason to refuse."""
    assert asked(query, b"", TOKEN) == Scope()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("locale=de", "de"),
        ("locale=DE-at", "de-AT"),
        ("locale=fr&locale=de", "de"),
        ("services=auth&locale=de", "de"),
        ("locale=", ""),
        ("locale=de_AT", ""),
        ("locale=%00%ff", ""),
        ("locale=de%0A", ""),
        ("locale=" + "de-" * 3000, ""),
        ("Locale=de&lang=de", ""),
    ],
)
def test_a_locale_is_a_wish_and_never_a_reason_to_refuse(query: str, expected: str) -> None:
    """Tags are read in whatever case; what is none is like one that there are no words in."""
    found = asked(query, b"", TOKEN)
    assert isinstance(found, Scope)
    assert found.locale == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (OPERATORS, Scope(internal=True)),
        ("audience=operators&services=auth", Scope(internal=True, services=frozenset({"auth"}))),
        ("features=chat&audience=%6Fperators", Scope(internal=True, features=frozenset({"chat"}))),
    ],
)
def test_the_token_makes_an_operator(query: str, expected: Scope) -> None:
    """With the token operators are told of all they ask for, and without it the same query is refused with 401."""
    assert asked(query, BEARER, TOKEN) == expected
    assert status(asked(query, b"", TOKEN)) == 401


@pytest.mark.parametrize("query", ["", "audience=users", "services=auth"])
def test_who_does_not_ask_as_an_operator_is_a_user(query: str) -> None:
    """The token alone adds nothing, and a wrong one takes nothing from who asks as a user."""
    for authorization in (BEARER, b"Bearer wrong", b"\xff\xfe"):
        found = asked(query, authorization, TOKEN)
        assert isinstance(found, Scope)
        assert not found.internal


@pytest.mark.parametrize(
    "authorization",
    [
        b"",
        b"Bearer",
        b"Bearer ",
        b"Bearer wrong",
        b"Bearer token-of-operator",
        b"Bearer token-of-operatorss",
        b"Bearer Token-of-operators",
        b"Bearer token-of-operators, Bearer token-of-operators",
        b"Bearer token-of-operators extra",
        b"Basic token-of-operators",
        b"Basic dG9rZW46",
        b"token-of-operators",
        b"Bearertoken-of-operators",
        b" ",
        b"Bearer \x00",
        b"Bearer \xff\xfe",
        b"\xff\xfe \xff",
        "Bearer schlüssel".encode(),
    ],
)
def test_no_other_header_makes_an_operator(authorization: bytes) -> None:
    """Another scheme, another token, part of it or more than it, or bytes that are no text: 401, and what is needed."""
    refusal = asked(OPERATORS, authorization, TOKEN)
    assert isinstance(refusal, Refusal)
    assert refusal.status == 401
    assert b"\r\nWWW-Authenticate: Bearer\r\n" in refusal.response()
    assert TOKEN.encode() not in refusal.response()
    assert not is_operator(authorization.decode("latin-1"), TOKEN)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_schemes_case_means_nothing(scheme: str) -> None:
    """RFC 9110, section 11.1; and blanks around the token are no part of it."""
    for header in (f"{scheme} {TOKEN}", f"{scheme}  {TOKEN} "):
        assert is_operator(header, TOKEN)
        assert asked(OPERATORS, header.encode(), TOKEN) == Scope(internal=True)


@pytest.mark.parametrize("authorization", [b"", b"Bearer", b"Bearer ", b"Bearer  ", b"bearer \t", b" "])
def test_without_a_token_in_the_settings_there_are_no_operators(authorization: bytes) -> None:
    """Nothing at all does not match nothing at all."""
    assert not is_operator(authorization.decode("latin-1"), "")
    assert status(asked(OPERATORS, authorization, "")) == 401


@pytest.mark.parametrize("token", ["schlüssel", "ключ", "鍵-1"])
def test_a_token_may_be_written_in_any_script(token: str) -> None:
    """The settings' token in UTF-8, as terminals and libraries send it, is that token; one in other letters is not."""
    assert asked(OPERATORS, b"Bearer wrong", token) == asked(OPERATORS, b"Bearer \xff", token)
    assert status(asked(OPERATORS, b"Bearer schl?ssel", token)) == 401
    assert asked(OPERATORS, f"Bearer {token}".encode(), token) == Scope(internal=True)


@pytest.mark.parametrize(
    "query",
    [
        "audience=everybody",
        "audience=Operators",
        "audience=operators,users",
        "audience=users&audience=operators",
        "audience=operators&audience=users",
        "audience=operators%00",
        "audience=%FF",
    ],
)
def test_an_audience_that_there_is_not_is_refused(query: str) -> None:
    """What is wrong with the request itself is 400, whoever asks, and the refusal says what would be right."""
    for authorization in (b"", BEARER):
        refusal = asked(query, authorization, TOKEN)
        assert isinstance(refusal, Refusal)
        assert refusal.status == 400
        assert "users" in refusal.reason
        assert "operators" in refusal.reason


@pytest.mark.parametrize(
    "garbage", ["services=%FF%FE", "services=\xff\xfe", "services=%", "services=%u0041", "services=\x00"]
)
def test_garbage_is_a_name_that_is_not_there(garbage: str) -> None:
    """It asks for something, so it is not everything; nothing like it is in any catalogue."""
    found = asked(garbage, b"", TOKEN)
    assert isinstance(found, Scope)
    assert len(found.services) == 1
    assert not found.internal


def test_many_parameters_are_as_good_as_few() -> None:
    """As many as fit into the head of a request: all are read, and none is a reason to fail."""
    query = "&".join(f"services=s{number}" for number in range(1000))
    assert asked(query, b"", "") == Scope(services=frozenset(f"s{number}" for number in range(1000)))
    assert asked("&".join(f"x{number}=1" for number in range(1000)), b"", "") == Scope()


@given(st.binary(max_size=200), st.binary(max_size=100))
def test_whatever_bytes_come_nobody_becomes_an_operator(query: bytes, authorization: bytes) -> None:
    """Any query and any header lead to a scope of users or to a refusal in words, and never to an exception."""
    found = asked(query.decode("latin-1"), authorization, TOKEN)
    if isinstance(found, Refusal):
        assert found.status in (400, 401)
    else:
        assert not found.internal


@given(st.frozensets(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", fullmatch=True), min_size=1))
def test_every_name_that_a_service_may_have_can_be_asked_for(names: frozenset[str]) -> None:
    """Names need no encoding, and come back as they are."""
    joined = ",".join(names)
    assert asked(f"services={joined}&features={joined}", b"", "") == Scope(services=names, features=names)
