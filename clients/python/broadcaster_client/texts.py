"""Our own words: for what a node cannot tell, and where it says nothing that the reader understands. In English."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from broadcaster_client.languages import OURS, Words, is_of
from broadcaster_client.messages import Criticality, FeedState, Service, Status

WELL = Words("All is well.")
OFFLINE = Words("You are offline.")
UNKNOWN = Words("Nothing is known yet.")


def lost_words(reason: str, lang: str) -> Words:
    """A sentence for a node that is not reached, for this reason. A sentence of ours cannot hold another language."""
    if is_of(lang, OURS):
        return Words(f"The status feed is lost ({reason.rstrip('.') or 'no connection'}).")
    return Words(reason, lang)


def feed_text(feed: FeedState) -> str:
    """A sentence for how much a node knows that says nothing in words."""
    match feed:
        case FeedState.LIVE:
            return "Status is up to date again."
        case FeedState.UNWATCHED:
            return "The services are not being watched right now."
        case FeedState.LOST:
            return "The node has lost its own source."


def rejected_text(services: Sequence[Service]) -> str:
    """A sentence for a connection that a node does not let in because of these services."""
    because = ", ".join(each.title for each in services)
    return f"Not let in for now, without: {because}." if because else "Not let in for now."


def waiting_text(services: Iterable[Service]) -> str:
    """A sentence for a connection that a node keeps, but does not let in yet."""
    down = [each.title for each in services if each.status is Status.DOWN and each.criticality is Criticality.CRITICAL]
    return f"Waiting to be let in, without: {', '.join(down)}." if down else "Waiting to be let in."


def became_text(service: Service) -> str:
    """A sentence for a service of which the node says nothing in words."""
    match service.status:
        case Status.UP:
            return f"{service.title}: back to normal."
        case Status.DEGRADED:
            return f"{service.title}: slow or unreliable."
        case Status.DOWN:
            return f"{service.title}: unavailable."
        case Status.UNKNOWN:
            return f"{service.title}: not observed lately, so its state is not known."


def planned_text(service: Service) -> str:
    """A sentence for planned work on a service, as it stands now."""
    if not service.planned:
        return f"{service.title}: planned work is over."
    return f"{service.title}: planned work {'has begun' if service.planned.has_begun else 'is announced'}."
