"""What the page says of how things stand: the same, to the letter, as ``clients/web/page/words.js`` says of the same
views, so that a page that comes alive changes nothing. What the script never says is in ``past``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
from msgspec import UnsetType

from broadcaster.domain.languages import ENGLISH
from broadcaster.domain.model import Criticality, FeedState, Status
from broadcaster.protocol.messages import FeatureView, PlannedView, ServiceView

STATUS_WORDS = {
    "up": "Up",
    "degraded": "Degraded",
    "down": "Down",
    "available": "Available",
    "limited": "Limited",
    "unavailable": "Unavailable",
}

LEVELS = {
    "up": "up",
    "degraded": "degraded",
    "down": "down",
    "available": "up",
    "limited": "degraded",
    "unavailable": "down",
}

REASONS = {
    "refused": "does not accept connections",
    "reset": "breaks connections off",
    "timeout": "does not answer in time",
    "dns": "cannot be found",
    "tls": "cannot be reached securely",
    "unreachable": "cannot be reached",
    "bad_response": "answers wrongly",
    "server_error": "reports an error",
    "overloaded": "is overloaded",
    "quota": "is limited, as many requests are being made",
    "slow": "answers slowly",
    "loading": "is starting up",
    "read_only": "takes no changes",
    "replication": "has copies that disagree",
    "recovering": "is recovering",
    "internal": "is affected by a problem on our side",
}

FEED_WORDS = {
    FeedState.LIVE: "Live",
    FeedState.UNWATCHED: "Status is not being watched – what you see may be out of date",
    FeedState.LOST: "This server has lost its source of status – what you see may be out of date",
}


class Overall(msgspec.Struct, frozen=True, kw_only=True):
    """The state of everything in one line and a half."""

    level: str
    headline: str
    subline: str


def title(view: ServiceView | FeatureView) -> str:
    return view.title or view.name


def status_word(status: str) -> str:
    return STATUS_WORDS.get(status, "Not known")


def level_of(status: str) -> str:
    return LEVELS.get(status, "unknown")


def service_detail(service: ServiceView) -> str:
    """Beside a service's state: whether it is needed, why it is not well, what work on it is planned."""
    kind = "Optional" if service.criticality is Criticality.OPTIONAL else "Required"
    reason = ""
    if service.status is Status.UNKNOWN:
        reason = "not observed lately"
    elif service.status is not Status.UP and service.category is not None:
        reason = REASONS.get(service.category.value, "")
    return " · ".join(filter(None, (kind, reason, _planned_text(service.planned))))


def feature_detail(feature: FeatureView, services: Iterable[ServiceView]) -> str:
    """Beside a feature's state: what is lost of it, and because of what."""
    if feature.status == "available":
        return "Works"
    cause = listed([each for each in _causes([feature], services) if each != title(feature)])
    text = feature.text or "Not known right now."
    return f"{text} Cause: {cause}." if cause else text


def overall(services: Sequence[ServiceView], features: Sequence[FeatureView], feed: FeedState) -> Overall:
    """The state of everything. Never falsely well."""
    judged = _judged(services, features, feed)
    worked = [title(each) for each in services if each.planned and each.planned.has_begun]
    planned = f"Planned work on {listed(worked)}." if worked else ""
    return msgspec.structs.replace(judged, subline=" ".join(filter(None, (judged.subline, planned))))


def _judged(services: Sequence[ServiceView], features: Sequence[FeatureView], feed: FeedState) -> Overall:
    unavailable, limited, unknown = (
        [each for each in features if each.status == status] for status in ("unavailable", "limited", "unknown")
    )
    is_critical = any(each.status is Status.DOWN and each.criticality is not Criticality.OPTIONAL for each in services)
    level = "down" if is_critical else "degraded"
    if unavailable or limited:
        return _without(unavailable, limited, unknown, services, features, level)
    unwell = [title(each) for each in services if each.status in (Status.DOWN, Status.DEGRADED)]
    if unwell:
        still = "Everything you use still works." if features and not unknown else ""
        return Overall(level=level, headline=f"Problems with {listed(unwell)}", subline=still)
    unobserved = [title(each) for each in services if each.status is not Status.UP]
    if feed is not FeedState.LIVE:
        lost = "Status cannot be followed right now" if feed is FeedState.LOST else "Status is not being watched"
        seen = "Some services have not been observed lately." if unobserved else "When last seen, everything worked."
        return Overall(level="unknown", headline=lost, subline=seen)
    if not services or len(unobserved) == len(services):
        first = "The first observations are on their way."
        return Overall(level="unknown", headline="Nothing is known yet", subline=first)
    if unobserved:
        rest = "Not observed lately. Everything else works."
        return Overall(level="unknown", headline=f"Not known: {listed(unobserved)}", subline=rest)
    return Overall(level="up", headline="All systems operational", subline="Everything works as it should.")


def _without(
    unavailable: Sequence[FeatureView],
    limited: Sequence[FeatureView],
    unknown: Sequence[FeatureView],
    services: Sequence[ServiceView],
    features: Sequence[FeatureView],
    level: str,
) -> Overall:
    """What is lost to users, because of what, and what is not."""
    worst = [title(each) for each in unavailable or limited]
    sentences = []
    cause = listed([each for each in _causes(unavailable or limited, services) if each not in worst])
    if cause:
        sentences.append(f"Cause: {cause}.")
    if unavailable and limited:
        sentences.append(f"Limited: {listed([title(each) for each in limited])}.")
    if unknown:
        sentences.append(f"Not known: {listed([title(each) for each in unknown])}.")
    if len(unavailable) + len(limited) + len(unknown) < len(features):
        sentences.append("Everything else works.")
    headline = f"{listed(worst)} unavailable" if unavailable else f"Problems with {listed(worst)}"
    if len(unavailable) == len(features) > 1:
        headline = "Nothing works right now"
    return Overall(level=level, headline=headline, subline=" ".join(sentences))


def listed(titles: Sequence[str]) -> str:
    return "".join(titles) if len(titles) < 2 else f"{', '.join(titles[:-1])} and {titles[-1]}"


def foreign(lang: str | UnsetType) -> str:
    """The language of a text from the settings, for the page to say; '' where it is that of the page, English."""
    return lang if lang and lang != ENGLISH else ""


def span(seconds: float) -> str:
    """A span of time in the largest unit that fits: ``12 s``, ``3 min``, ``2 h``, ``5 days``."""
    if seconds < 60:
        return f"{max(0, int(seconds))} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min"
    if seconds < 48 * 3600:
        return f"{int(seconds // 3600)} h"
    return f"{int(seconds // 86_400)} days"


def moment(at: datetime) -> str:
    """A time as everybody reads it, wherever they are: ``26 Nov, 14:05 UTC``."""
    return f"{at.day} {MONTHS[at.month - 1]}, {at:%H:%M} UTC"


MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
"""Whatever the locale of this process is."""


def _planned_text(planned: PlannedView | UnsetType) -> str:
    """Planned work that is on, or when the next is."""
    if not planned:
        return ""
    reason = f": {planned.reason}" if planned.reason else ""
    until = moment(planned.until)
    when = f"until {until}" if planned.has_begun else f"from {moment(planned.starts_at)} to {until}"
    return f"planned work {when}{reason}"


def _causes(features: Iterable[FeatureView], services: Iterable[ServiceView]) -> list[str]:
    titles = {each.name: title(each) for each in services}
    names = dict.fromkeys(name for each in features for name in each.because)
    return [titles.get(name, name) for name in names]
