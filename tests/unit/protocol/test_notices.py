"""Domain values in people's words: what is named, what is not, and that nothing internal gets out."""

from __future__ import annotations

import msgspec
import pytest

from broadcaster.domain.admission import admit
from broadcaster.domain.model import (
    Catalogue,
    Category,
    Criticality,
    EventKind,
    Feature,
    FeedState,
    Position,
    Service,
    ServiceState,
    Snapshot,
    Status,
)
from broadcaster.protocol import codec, notices, wording
from broadcaster.protocol.closing import MAX_REASON_BYTES
from broadcaster.protocol.messages import Rejected, SnapshotMessage, Welcome, timestamp

NOW = 1_767_261_600.0
GONE = "is unavailable. We will tell you as soon as it is back."
OUR_SIDE = "is unavailable because of a problem on our side"
SECRET = "connect to db-7.internal:5432 failed"

CATALOGUE = Catalogue(
    services={
        "db": Service(name="db", title="Message store", runbook="https://runbooks.internal/db", owner="storage"),
        "auth": Service(name="auth", title="Sign-in", depends_on=("db",), texts={"recovered": "You can sign in."}),
        "stats": Service(name="stats", title="Analytics", criticality=Criticality.OPTIONAL),
        "plain": Service(name="plain", criticality=Criticality.OPTIONAL),
    },
    features={
        "chat": Feature(name="chat", title="Chat", requires=("auth", "db")),
        "reports": Feature(name="reports", title="Usage reports", requires=("stats",), texts={"down": "They pause."}),
    },
)


def snapshot(at_revision: int = 7, /, **statuses: str) -> Snapshot:
    """Everything up but what is said; operators' details everywhere."""
    return Snapshot(
        position=Position("e", at_revision),
        services={
            name: ServiceState(
                service=name,
                status=Status(statuses.get(name, "up")),
                since=NOW - 60,
                observed_at=NOW,
                category=Category.REFUSED if name in statuses else None,
                detail=SECRET,
                latency=0.25,
            )
            for name in CATALOGUE.services
        },
    )


def known(statuses: dict[str, str]) -> Snapshot:
    return snapshot(7, **statuses)


def because(category: Category | None, /, **statuses: str) -> Snapshot:
    """What is said, all of it for the same reason; everything else up."""
    told = snapshot(7, **statuses)
    unwell = {name: msgspec.structs.replace(told.services[name], category=category) for name in statuses}
    return Snapshot(position=told.position, services={**told.services, **unwell})


def without_degradation() -> Catalogue:
    return Catalogue(services=CATALOGUE.services, features=CATALOGUE.features, degradation=False)


@pytest.mark.parametrize(
    ("statuses", "feed", "expected"),
    [
        ({}, FeedState.LIVE, ""),
        ({"stats": "down"}, FeedState.LIVE, "They pause."),
        ({"stats": "degraded"}, FeedState.LIVE, "Slow or incomplete for now: Usage reports."),
        ({"auth": "down"}, FeedState.LIVE, "Unavailable for now: Chat."),
        ({"plain": "down"}, FeedState.LIVE, "plain is having problems right now."),
        (
            {},
            FeedState.UNWATCHED,
            "Status is not being watched right now; what you see may be out of date.",
        ),
        (
            {"stats": "down"},
            FeedState.LOST,
            "They pause. This node has lost its source of status; what you see may be out of date.",
        ),
    ],
)
def test_a_welcome_names_what_is_reduced(statuses: dict[str, str], feed: FeedState, expected: str) -> None:
    """One sentence a reduced feature, one for a feed that cannot be trusted, and silence when all is well."""
    message = notices.welcome(CATALOGUE, known(statuses), feed, NOW)
    assert message.text == expected
    assert message.feed is feed
    assert message.at == timestamp(NOW)
    assert message.position == Position("e", 7)


def test_a_snapshot_message_says_what_a_welcome_says() -> None:
    """The whole truth is the same one, whatever the occasion."""
    welcome = notices.welcome(CATALOGUE, snapshot(stats="down"), FeedState.LIVE, NOW)
    again = notices.snapshot_message(CATALOGUE, snapshot(stats="down"), FeedState.LIVE, NOW)
    assert (again.services, again.features, again.text) == (welcome.services, welcome.features, welcome.text)


@pytest.mark.parametrize(
    ("kind", "category", "expected"),
    [
        (EventKind.DOWN, Category.MISCONFIGURED, f"Analytics {OUR_SIDE}. We are working on it."),
        (EventKind.DOWN, Category.AUTH, f"Analytics {OUR_SIDE}. We are working on it."),
        (EventKind.DOWN, Category.INTERNAL, f"Analytics {OUR_SIDE}. We are working on it."),
        (EventKind.DOWN, Category.OVERLOADED, f"Analytics {GONE}"),
        (EventKind.DOWN, None, f"Analytics {GONE}"),
        (
            EventKind.DEGRADED,
            Category.MISCONFIGURED,
            "Analytics is unreliable right now because of a problem on our side.",
        ),
        (EventKind.DEGRADED, Category.QUOTA, "Analytics is limited right now because many requests are being made."),
        (EventKind.DEGRADED, Category.SLOW, "Analytics is slow or unreliable right now."),
        (EventKind.RECOVERED, None, "Analytics is back to normal."),
    ],
)
def test_a_notice_says_whose_problem_it_is(kind: EventKind, category: Category | None, expected: str) -> None:
    """A service that refuses us is not said to have failed, and one whose quota we used up is limited."""
    status = {"down": "down", "degraded": "degraded"}.get(kind.value, "up")
    after = because(category, stats=status)
    assert notices.notice(CATALOGUE, snapshot(6), after, kind, "stats", NOW).text == expected


def test_own_words_win_over_whose_problem_it_is() -> None:
    """A text of services.yaml is what users read, whatever the category."""
    own = msgspec.structs.replace(CATALOGUE.services["stats"], texts={"down": "They pause.", "degraded": "They slow."})
    catalogue = msgspec.structs.replace(CATALOGUE, services={**CATALOGUE.services, "stats": own})
    for kind, category, expected in (
        (EventKind.DOWN, Category.MISCONFIGURED, "They pause."),
        (EventKind.DEGRADED, Category.QUOTA, "They slow."),
    ):
        after = because(category, stats=kind.value)
        assert notices.notice(catalogue, snapshot(6), after, kind, "stats", NOW).text == expected


def test_a_dependency_that_we_misconfigured_is_our_problem_too() -> None:
    """Who is told of the root of a failure, or refused for it, is told whose it is."""
    told = because(Category.AUTH, db="down", auth="down")
    text = notices.notice(CATALOGUE, snapshot(6), told, EventKind.DOWN, "auth", NOW).text
    assert text == f"Sign-in is affected: Message store {OUR_SIDE}."
    refused = notices.rejected(CATALOGUE, admit(CATALOGUE, told), told, NOW, 4_000).text
    assert refused.startswith(f"Message store {OUR_SIDE}, and we cannot connect you without it.")


def test_a_welcome_blames_nobody_else_for_a_problem_of_ours() -> None:
    """Where no feature tells of it, services are named apart by whose problem it is."""
    services = {name: each for name, each in CATALOGUE.services.items() if name in ("stats", "plain")}
    told = because(Category.MISCONFIGURED, stats="down")
    told = Snapshot(services={**told.services, "plain": snapshot(plain="down").state("plain")})
    text = notices.welcome(Catalogue(services=services), told, FeedState.LIVE, NOW).text
    assert text == "plain is having problems right now. Analytics is affected by a problem on our side."


@pytest.mark.parametrize("category", Category)
@pytest.mark.parametrize("status", ["down", "degraded"])
def test_nobody_is_told_of_refused_credentials(category: Category, status: str) -> None:
    """Whatever the category, no message holds the words that are for operators; all others get out as they are."""
    told = because(category, db=status)
    kind = EventKind(status)
    messages = [
        notices.welcome(CATALOGUE, told, FeedState.LIVE, NOW),
        notices.snapshot_message(CATALOGUE, told, FeedState.LIVE, NOW),
        notices.notice(CATALOGUE, snapshot(6), told, kind, "db", NOW),
    ]
    if status == "down":
        messages.append(notices.rejected(CATALOGUE, admit(CATALOGUE, told), told, NOW, 1000))
    public = Category.INTERNAL if category in (Category.AUTH, Category.MISCONFIGURED) else category
    assert wording.public_category(category) is public
    for message in messages:
        text = codec.encode(message).decode()
        assert f'"category":"{public.value}"' in text
        assert '"category":"auth"' not in text
        assert "misconfigured" not in text


@pytest.mark.parametrize(
    ("kind", "service", "statuses", "expected"),
    [
        (
            EventKind.DOWN,
            "stats",
            {"stats": "down"},
            "Analytics is unavailable. We will tell you as soon as it is back.",
        ),
        (EventKind.DEGRADED, "stats", {"stats": "degraded"}, "Analytics is slow or unreliable right now."),
        (EventKind.RECOVERED, "stats", {}, "Analytics is back to normal."),
        (EventKind.RECOVERED, "auth", {}, "You can sign in."),
        (EventKind.DOWN, "auth", {"auth": "down", "db": "down"}, "Sign-in is affected: Message store is unavailable."),
        (EventKind.DOWN, "plain", {"plain": "down"}, f"plain {GONE}"),
    ],
)
def test_a_notice_says_what_happened(kind: EventKind, service: str, statuses: dict[str, str], expected: str) -> None:
    """The service's own words win; what a failed dependency explains names that one."""
    message = notices.notice(CATALOGUE, snapshot(6), known(statuses), kind, service, NOW)
    assert message.text == expected
    assert message.service.title == (CATALOGUE.services[service].title or service)


def test_a_notice_carries_the_features_that_it_changes() -> None:
    """Those that changed, as they are now, with the root of it; not the others."""
    before, after = snapshot(6, db="down"), snapshot(7, db="down", stats="down")
    message = notices.notice(CATALOGUE, before, after, EventKind.DOWN, "stats", NOW, local=True)
    assert [(each.name, each.status.value, each.because) for each in message.features] == [
        ("reports", "unavailable", ("stats",))
    ]
    assert message.position == Position("e", 7)
    assert message.local


def test_a_rejection_names_the_root_once_and_what_still_works() -> None:
    """Two services that are down for one reason are one sentence about that reason."""
    told = snapshot(auth="down", db="down")
    message = notices.rejected(CATALOGUE, admit(CATALOGUE, told), told, NOW, 4_400)
    assert message.text == (
        "Message store is unavailable, and we cannot connect you without it. "
        "Still working: Usage reports. Please try again in 4 seconds."
    )
    assert [each.name for each in message.services] == ["db", "auth"]
    assert message.retry_after_ms == 4_400


@pytest.mark.parametrize("count", [1, 2, 5, 60])
@pytest.mark.parametrize("title", ["Sign-in", "Ünïcödé störe 😀", "x" * 200])
def test_a_closing_reason_fits_a_close_frame(count: int, title: str) -> None:
    """However many are down and whatever they are called, the reason is at most 123 bytes and names the first one."""
    catalogue = Catalogue(services={f"s{n}": Service(name=f"s{n}", title=f"{title} {n}") for n in range(count)})
    told = Snapshot(services={name: ServiceState(service=name, status=Status.DOWN) for name in catalogue.services})
    reason = notices.closing_reason(catalogue, admit(catalogue, told), told, 100.0)
    assert len(reason.encode()) <= MAX_REASON_BYTES
    assert reason.startswith(title[:30])


def test_services_that_are_not_announced_appear_nowhere() -> None:
    """With degradation off an optional service is in no view, no text and no cause."""
    catalogue = without_degradation()
    told = snapshot(stats="down", plain="down", auth="down")
    messages: list[Welcome | SnapshotMessage | Rejected] = [
        notices.welcome(catalogue, told, FeedState.LIVE, NOW),
        notices.snapshot_message(catalogue, told, FeedState.LIVE, NOW),
        notices.rejected(catalogue, admit(catalogue, told), told, NOW, 1000),
    ]
    for message in messages:
        assert {each.name for each in message.services} <= {"db", "auth"}
        text = codec.encode(message).decode()
        assert "Analytics" not in text
        assert "plain" not in text


def test_nothing_internal_gets_out() -> None:
    """No detail, latency, owner or runbook is in any message, whatever state things are in."""
    told = snapshot(auth="down", stats="degraded", db="down")
    messages = [
        notices.welcome(CATALOGUE, told, FeedState.LOST, NOW),
        notices.notice(CATALOGUE, snapshot(), told, EventKind.DOWN, "db", NOW),
        notices.rejected(CATALOGUE, admit(CATALOGUE, told), told, NOW, 1000),
        notices.goodbye(NOW, 1000),
        *(notices.feed_notice(state, NOW) for state in FeedState),
    ]
    for message in messages:
        text = codec.encode(message).decode()
        for internal in (SECRET, "internal", "0.25", "storage", "runbook", "detail", "latency"):
            assert internal not in text
        assert codec.decode_message(text) == message


def test_a_service_of_which_nothing_is_known_has_no_since() -> None:
    """Not observed yet is unknown since nobody knows when."""
    view = notices.service_view(CATALOGUE, Snapshot(), "db")
    assert view.status is Status.UNKNOWN
    assert view.since is None


def test_a_feature_whose_cause_moves_is_told_again() -> None:
    """Still unavailable, but for another reason: whoever names the cause must hear of the new one."""
    both, one = snapshot(7, auth="down", db="down"), snapshot(8, db="unknown", auth="down")
    told = notices.notice(CATALOGUE, both, one, EventKind.RECOVERED, "db", NOW)
    assert [(each.name, each.because) for each in told.features] == [("chat", ("auth",))]


def test_an_explained_failure_tells_only_what_it_takes() -> None:
    """The cause was told: what follows from it names features that are lost, or stays quiet; recoveries never do."""

    def seen(caused_by: tuple[str, ...] = (), /, **statuses: str) -> Snapshot:
        plain = snapshot(**statuses)
        auth = msgspec.structs.replace(plain.state("auth"), caused_by=caused_by)
        return msgspec.structs.replace(plain, services={**plain.services, "auth": auth})

    without_feature = msgspec.structs.replace(CATALOGUE, features={})
    before, after = seen(db="down"), seen(("db",), db="down", auth="down")
    quiet = notices.notice(without_feature, before, after, EventKind.DOWN, "auth", NOW, incident="db-1")
    assert (quiet.quiet, quiet.text, quiet.incident) == (True, "", "db-1")
    assert quiet.service.caused_by == ("db",)
    only_auth = msgspec.structs.replace(
        CATALOGUE, features={"chat": Feature(name="chat", title="Chat", requires=("auth",))}
    )
    told = notices.notice(only_auth, before, after, EventKind.DOWN, "auth", NOW, incident="db-1")
    assert (told.quiet, told.text) == (False, "Unavailable for now: Chat.")
    back = notices.notice(without_feature, seen(auth="down"), seen(), EventKind.RECOVERED, "auth", NOW, incident="db-1")
    assert (back.quiet, back.text) == (False, "You can sign in.")


def test_the_first_good_observation_is_no_event_for_users() -> None:
    """A service that is found to be up was not said to be anything else; found to be down, it is told."""
    unseen, seen = snapshot(auth="unknown"), snapshot(auth="up")
    found = notices.notice(CATALOGUE, unseen, seen, EventKind.UP, "auth", NOW)
    assert (found.quiet, found.text, found.service.status.value) == (True, "", "up")
    assert not notices.notice(CATALOGUE, unseen, snapshot(auth="down"), EventKind.DOWN, "auth", NOW).quiet


def test_a_cause_that_is_not_announced_explains_nothing_to_users() -> None:
    """Nobody told them of it, so its effect is told as any failure."""
    hidden = msgspec.structs.replace(CATALOGUE, features={}, degradation=False)
    plain = snapshot(stats="down", auth="down")
    auth = msgspec.structs.replace(plain.state("auth"), caused_by=("stats",))
    after = msgspec.structs.replace(plain, services={**plain.services, "auth": auth})
    told = notices.notice(hidden, snapshot(stats="down"), after, EventKind.DOWN, "auth", NOW)
    assert not told.quiet
    assert told.service.caused_by == ()
    assert told.text


def test_a_handshake_refused_for_what_is_not_known_says_so() -> None:
    """Nobody is told that something is unavailable of which nothing is known."""
    catalogue = Catalogue(services={n: Service(name=n, title=n.title(), fails_open=False) for n in ("auth", "store")})
    nothing = Snapshot()
    admission = admit(catalogue, nothing)
    rejected = notices.rejected(catalogue, admission, nothing, NOW, 5000)
    assert rejected.text.startswith(
        "It is not known whether Auth and Store work, and we cannot connect you without them."
    )
    assert notices.closing_reason(catalogue, admission, nothing, NOW) == "It is not known whether Auth and Store work"
    one = Snapshot(services={"store": ServiceState(service="store", status=Status.UP)})
    text = notices.rejected(catalogue, admit(catalogue, one), one, NOW, 5000).text
    assert text.startswith("It is not known whether Auth works, and we cannot connect you without it.")


def test_a_cause_that_is_not_announced_is_named_nowhere() -> None:
    """With degradation off an optional service is nobody's business, also at the root of what users meet."""
    catalogue = Catalogue(
        services={
            "auth": Service(name="auth", title="Sign-in", depends_on=("vault",)),
            "vault": Service(name="vault", title="Hidden vault", criticality=Criticality.OPTIONAL),
        },
        degradation=False,
    )
    down = Snapshot(
        position=Position("e", 2),
        services={name: ServiceState(service=name, status=Status.DOWN) for name in catalogue.services},
    )
    admission = admit(catalogue, down)
    assert admission.causes == ("vault",)
    notice = notices.notice(catalogue, Snapshot(), down, EventKind.DOWN, "auth", NOW, incident="vault-18f0a")
    assert notice.incident == "incident-18f0a"
    said = [
        notices.rejected(catalogue, admission, down, NOW, 5000).text,
        notices.blocked(catalogue, admission, down, NOW).text,
        notices.closing_reason(catalogue, admission, down, NOW),
        notice.text,
    ]
    assert "vault" not in codec.encode(notice).decode().lower()
    assert notices.incident_name(catalogue, "auth-18f0a") == "auth-18f0a"
    assert all("Sign-in" in text and "vault" not in text.lower() for text in said), said
