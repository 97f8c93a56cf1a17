"""In which language a text is: each says so, and no text is in two."""

from __future__ import annotations

import msgspec
import pytest

from broadcaster.domain.admission import admit
from broadcaster.domain.features import FeatureStatus
from broadcaster.domain.languages import Language, Words
from broadcaster.domain.model import (
    Catalogue,
    Criticality,
    EventKind,
    Feature,
    FeedState,
    Plan,
    PlanAction,
    PlanChange,
    PlanKind,
    Position,
    Service,
    ServiceState,
    Snapshot,
    Status,
)
from broadcaster.protocol import codec, notices
from broadcaster.protocol.messages import Message

NOW = 1_767_261_600.0

SERVICES = {
    "auth": Service(
        name="auth",
        title="Sign-in",
        locales={
            "de": Words(
                title="Anmeldung",
                texts={"down": "Niemand kann sich anmelden.", "recovered": "Die Anmeldung geht wieder."},
            ),
            "de-CH": Words(texts={"recovered": "S Aamälde goht wider."}),
            "fr": Words(title="Connexion"),
        },
    ),
    "stats": Service(
        name="stats",
        title="Analytics",
        criticality=Criticality.OPTIONAL,
        locales={"de": Words(title="Auswertung")},
        texts={"degraded": "Figures are late."},
    ),
}
FEATURES = {
    "chat": Feature(
        name="chat", title="Chat", requires=("auth",), locales={"de-CH": Words(texts={"down": "De Chat goht nöd."})}
    ),
    "reports": Feature(
        name="reports",
        title="Usage reports",
        requires=("stats",),
        texts={"down": "Reports pause."},
        locales={"de": Words(title="Berichte", texts={"down": "Die Berichte ruhen.", "degraded": "Berichte dauern."})},
    ),
}
CATALOGUE = Catalogue(services=SERVICES, features=FEATURES)


def told(asked: str, catalogue: Catalogue = CATALOGUE) -> Catalogue:
    return catalogue.told_in(catalogue.language_for(asked))


def state(name: str, status: str = "up", *, plans: tuple[Plan, ...] = ()) -> ServiceState:
    return ServiceState(service=name, status=Status(status), since=NOW - 60, observed_at=NOW, plans=plans)


def world(**statuses: str) -> Snapshot:
    return Snapshot(
        position=Position("e", 7), services={name: state(name, statuses.get(name, "up")) for name in SERVICES}
    )


def said(message: Message) -> tuple[str, str | None]:
    """A message's text and language, as they are on the wire."""
    read = msgspec.json.decode(codec.encode(message))
    return read["text"], read.get("lang")


def notice(asked: str, kind: str, service: str = "auth", catalogue: Catalogue = CATALOGUE) -> tuple[str, str | None]:
    before = world(**{service: "down"}) if kind == "recovered" else world()
    after = world() if kind == "recovered" else world(**{service: kind})
    return said(notices.notice(told(asked, catalogue), before, after, EventKind(kind), service, NOW))


@pytest.mark.parametrize(
    ("asked", "kind", "expected"),
    [
        ("", "down", ("Sign-in is unavailable. We will tell you as soon as it is back.", "en")),
        ("de", "down", ("Niemand kann sich anmelden.", "de")),
        ("de-AT", "down", ("Niemand kann sich anmelden.", "de")),
        ("de-CH", "down", ("Niemand kann sich anmelden.", "de")),
        ("de-CH", "recovered", ("S Aamälde goht wider.", "de-CH")),
        ("de", "degraded", ("Sign-in is slow or unreliable right now.", "en")),
        ("fr", "down", ("Sign-in is unavailable. We will tell you as soon as it is back.", "en")),
        ("it", "recovered", ("Sign-in is back to normal.", "en")),
    ],
)
def test_a_notice_is_in_the_reader_s_language_where_there_are_words(
    asked: str, kind: str, expected: tuple[str, str]
) -> None:
    """And in English, with the English title, where there are none."""
    assert notice(asked, kind) == expected


def test_titles_are_in_the_reader_s_language() -> None:
    """Of services and of features, in every view."""
    view = notices.welcome(told("de"), world(), FeedState.LIVE, NOW)
    assert [each.title for each in view.services] == ["Anmeldung", "Auswertung"]
    assert [each.title for each in view.features] == ["Chat", "Berichte"]
    [french, _] = notices.welcome(told("fr"), world(), FeedState.LIVE, NOW).services
    assert french.title == "Connexion"


@pytest.mark.parametrize(
    ("asked", "statuses", "feed", "expected"),
    [
        ("de", {}, FeedState.LIVE, ("", None)),
        ("de", {"stats": "down"}, FeedState.LIVE, ("Die Berichte ruhen.", "de")),
        ("de", {"stats": "degraded"}, FeedState.LIVE, ("Berichte dauern.", "de")),
        ("de-CH", {"stats": "down", "auth": "down"}, FeedState.LIVE, ("De Chat goht nöd. Die Berichte ruhen.", "de")),
        ("de", {"stats": "down", "auth": "down"}, FeedState.LIVE, ("Unavailable for now: Chat. Reports pause.", "en")),
        (
            "de",
            {"stats": "down"},
            FeedState.LOST,
            ("Reports pause. This node has lost its source of status; what you see may be out of date.", "en"),
        ),
        ("", {"stats": "down"}, FeedState.LIVE, ("Reports pause.", "en")),
    ],
)
def test_a_text_of_several_sentences_is_in_one_language(
    asked: str, statuses: dict[str, str], feed: FeedState, expected: tuple[str, str | None]
) -> None:
    """In the reader's where all can be said in it, else all of it in the default language; each feature has its own."""
    welcome = notices.welcome(told(asked), world(**statuses), feed, NOW)
    assert said(welcome) == expected
    assert said(notices.snapshot_message(told(asked), world(**statuses), feed, NOW)) == expected
    if asked == "de" and "stats" in statuses:
        assert (welcome.features[1].text, welcome.features[1].lang) == (
            FEATURES["reports"].locales["de"].texts[statuses["stats"]],
            "de",
        )


def test_a_feature_says_which_language_its_text_is_in() -> None:
    """Its own, in what it fell back to, or English; without a text, none."""
    read = msgspec.json.decode(codec.encode(notices.welcome(told("de"), world(auth="down"), FeedState.LIVE, NOW)))
    [chat, reports] = read["features"]
    assert (chat["status"], chat["text"], chat["lang"]) == (
        FeatureStatus.UNAVAILABLE.value,
        "Unavailable for now: Chat.",
        "en",
    )
    assert reports["text"] == ""
    assert "lang" not in reports


def test_a_file_in_another_language_says_so() -> None:
    """Its own words are in its default language; sentences made here are English, with English titles if there are."""
    catalogue = Catalogue(
        services={
            "auth": Service(
                name="auth",
                title="Anmeldung",
                texts={"down": "Niemand kann sich anmelden."},
                locales={"en": Words(title="Sign-in"), "fr": Words(title="Connexion")},
            )
        },
        features={"chat": Feature(name="chat", title="Plausch", requires=("auth",))},
        language=Language.of("de"),
    )

    def of(asked: str, kind: str) -> tuple[str, str | None]:
        after = Snapshot(services={"auth": state("auth", kind if kind != "recovered" else "up")})
        return said(notices.notice(told(asked, catalogue), Snapshot(), after, EventKind(kind), "auth", NOW))

    assert of("", "down") == of("de-DE", "down") == ("Niemand kann sich anmelden.", "de")
    assert of("", "recovered") == ("Sign-in is back to normal.", "en")
    assert told("de-DE", catalogue) is catalogue
    after = Snapshot(services={"auth": state("auth", "down")})
    assert said(notices.welcome(catalogue, after, FeedState.LIVE, NOW)) == ("Unavailable for now: Plausch.", "en")
    admission = admit(catalogue, after)
    assert said(notices.rejected(catalogue, admission, after, NOW, 5400)) == ("Niemand kann sich anmelden.", "de")
    text, lang = said(notices.rejected(told("fr", catalogue), admission, after, NOW, 5400))
    assert (text[:23], lang) == ("Sign-in is unavailable,", "en"), "no German to a reader of French"
    mixed = msgspec.structs.replace(
        catalogue,
        features={
            **catalogue.features,
            "calls": Feature(
                name="calls",
                title="Anrufe",
                requires=("auth",),
                texts={"down": "Keine Anrufe."},
                locales={"en": Words(title="Calls")},
            ),
        },
    )
    assert said(notices.welcome(mixed, after, FeedState.LIVE, NOW)) == (
        "Unavailable for now: Plausch. Unavailable for now: Calls.",
        "en",
    ), "no German sentence in an English text"


# Who is refused, who waits.


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("de", ("Niemand kann sich anmelden.", "de")),
        ("de-CH", ("Niemand kann sich anmelden.", "de")),
        ("", "en"),
        ("fr", "en"),
        ("en-GB", "en"),
    ],
)
def test_who_is_refused_or_waits_reads_what_the_file_says_of_the_cause(
    asked: str, expected: tuple[str, str] | str
) -> None:
    """If it says it in their language; in English it is more: what still works, and when to come back."""
    snapshot, catalogue = world(auth="down"), told(asked)
    admission = admit(catalogue, snapshot)
    rejected = notices.rejected(catalogue, admission, snapshot, NOW, 5400)
    waiting = notices.waiting(
        catalogue, snapshot, FeedState.LIVE, NOW, blocked=notices.blocked(catalogue, admission, snapshot, NOW)
    )
    if isinstance(expected, tuple):
        assert said(rejected) == said(waiting) == expected
        assert rejected.services[0].title == "Anmeldung"
    else:
        assert said(rejected) == (
            "Sign-in is unavailable, and we cannot connect you without it. Still working: Usage reports. "
            "Please try again in 5 seconds.",
            "en",
        )
        assert said(waiting) == (
            "Sign-in is unavailable. Stay connected: you will be let in as soon as it is back.",
            "en",
        )
    assert notices.closing_reason(catalogue, admission, snapshot, NOW) == (
        "Sign-in is unavailable; please retry in a few seconds"
    )


WORK = Plan(kind=PlanKind.MAINTENANCE, starts_at=NOW - 60, until=NOW + 3600, by="anna", has_begun=True)


@pytest.mark.parametrize(
    ("states", "begins"),
    [
        ({"auth": state("auth", "down"), "store": state("store", "down")}, "Sign-in and Message store are unavailable"),
        ({"auth": state("auth", "down", plans=(WORK,))}, "Sign-in is unavailable because of planned work until"),
        ({"auth": state("auth", "unknown")}, "It is not known whether Sign-in works"),
    ],
)
def test_words_that_would_not_be_true_or_whole_are_not_said(states: dict[str, ServiceState], begins: str) -> None:
    """Where one cause has no words, is planned work or not even known, a German reader reads all of it in English."""
    services = {
        "auth": msgspec.structs.replace(SERVICES["auth"], fails_open=False),
        "store": Service(name="store", title="Message store", fails_open=True),
    }
    catalogue = told("de", Catalogue(services=services))
    snapshot = Snapshot(services={"store": state("store"), **states})
    admission = admit(catalogue, snapshot)
    text, lang = said(notices.rejected(catalogue, admission, snapshot, NOW, 5400))
    assert text.startswith(begins)
    assert lang == "en"


# What operators say, and everything else.


def test_an_operator_s_reason_is_in_the_default_language() -> None:
    """It is not put into another language's sentence; without a reason the file's own words are told."""
    for reason, expected in (
        ("", ("Niemand kann sich anmelden.", "de")),
        ("We look into it", ("Sign-in is unavailable. We will tell you as soon as it is back. We look into it.", "en")),
    ):
        plan = msgspec.structs.replace(WORK, kind=PlanKind.OVERRIDE, status=Status.DOWN, reason=reason)
        after = Snapshot(services={"auth": state("auth", "down", plans=(plan,)), "stats": state("stats")})
        assert said(notices.notice(told("de"), world(), after, EventKind.DOWN, "auth", NOW)) == expected


def test_what_is_made_here_is_english() -> None:
    """Planned work, the feed, and goodbyes; what is quiet has no language."""
    after = Snapshot(services={"auth": state("auth", plans=(WORK,)), "stats": state("stats")})
    change = PlanChange(
        position=Position("e", 8), service="auth", at=NOW, action=PlanAction.BEGUN, plan=WORK, by="anna", plans=(WORK,)
    )
    planned = said(notices.plan_notice(told("de"), world(), after, change))
    assert planned == ("Planned work on Sign-in until 11:00 UTC.", "en")
    for message in (
        notices.feed_notice(FeedState.LOST, NOW),
        notices.goodbye(NOW, 3000),
        notices.overloaded(NOW, 3000),
        notices.unknown_names(told("de"), ["nowhere"], NOW),
    ):
        assert said(message)[1] == "en"
    quiet = notices.notice(told("de"), Snapshot(), world(), EventKind.UP, "auth", NOW)
    assert (quiet.quiet, said(quiet)) == (True, ("", None))
