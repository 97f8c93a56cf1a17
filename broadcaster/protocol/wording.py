"""The sentences that people read, each with the language that it is in.

A text of ``services.yaml`` wins over a sentence made here, in the reader's language if it has one. What is made here is
English, and names things by their English titles where they have some. One text is in one language: where its parts are
not, all of it is said in the default language, or else in English.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from broadcaster.domain.features import FeatureStatus, roots
from broadcaster.domain.languages import ENGLISH, Language, Said, common, primary
from broadcaster.domain.model import (
    Catalogue,
    Category,
    EventKind,
    Feature,
    FeedState,
    PlanAction,
    PlanChange,
    Service,
    ServiceState,
    Snapshot,
    Status,
)
from broadcaster.protocol.messages import FeatureView, ServiceView, timestamp

REDUCED = (FeatureStatus.LIMITED, FeatureStatus.UNAVAILABLE)

FEED_TEXTS = {
    FeedState.LIVE: "Status is up to date again.",
    FeedState.UNWATCHED: "Status is not being watched right now; what you see may be out of date.",
    FeedState.LOST: "This node has lost its source of status; what you see may be out of date.",
}

_FEATURE_TEXTS = {
    FeatureStatus.LIMITED: "Slow or incomplete for now: {title}.",
    FeatureStatus.UNAVAILABLE: "Unavailable for now: {title}.",
    FeatureStatus.UNKNOWN: "Not known right now: {title}.",
}
_FEATURE_KINDS = {FeatureStatus.LIMITED: EventKind.DEGRADED, FeatureStatus.UNAVAILABLE: EventKind.DOWN}

_SERVICE_TEXTS = {
    EventKind.UP: "{title} is available.",
    EventKind.DOWN: "{title} is unavailable. We will tell you as soon as it is back.",
    EventKind.DEGRADED: "{title} is slow or unreliable right now.",
    EventKind.RECOVERED: "{title} is back to normal.",
}

_REASONED_TEXTS = {
    # Where the plain sentence would lay the blame on a service that works, or hide that waiting a little helps.
    (
        EventKind.DOWN,
        Category.INTERNAL,
    ): "{title} is unavailable because of a problem on our side. We are working on it.",
    (EventKind.DEGRADED, Category.INTERNAL): "{title} is unreliable right now because of a problem on our side.",
    (EventKind.DEGRADED, Category.QUOTA): "{title} is limited right now because many requests are being made.",
}

_STILL_TEXTS = {Status.DOWN: "It is still unavailable.", Status.DEGRADED: "It is still slow or unreliable."}

_PLANNED_TEXTS = {
    EventKind.DOWN: "{title} is unavailable because of planned work until {until}.",
    EventKind.DEGRADED: "{title} is limited because of planned work until {until}.",
}

_Part = Callable[[Language], Said]
"""One sentence of a text, said in a language as far as it can be."""


def public_category(category: Category | None) -> Category | None:
    """Why a service is not well, as everybody may know it.

    That somebody refuses our credentials is for operators: an attacker learns from it what to try. To users it is
    ``internal``, as is a probe that cannot do its work: a problem on our side, and they need not know which.
    """
    return Category.INTERNAL if category in (Category.AUTH, Category.MISCONFIGURED) else category


def made(text: str) -> Said:
    """A sentence of this program's own."""
    return Said(text, ENGLISH)


# Of one feature, one service, one plan.


def feature_text(language: Language, feature: Feature, status: FeatureStatus) -> Said:
    """What a feature's status means for users; '' where it is available."""
    if status is FeatureStatus.AVAILABLE:
        return made("")
    kind = _FEATURE_KINDS.get(status)
    own = language.text(feature, kind) if kind else None
    return own or made(_FEATURE_TEXTS[status].format(title=language.english.title(feature)))


def features_text(catalogue: Catalogue, views: Iterable[FeatureView]) -> Said:
    """What is missing of these features."""
    return _joined(catalogue.language, [_of_feature(catalogue, view) for view in views if view.status in REDUCED])


def service_text(catalogue: Catalogue, snapshot: Snapshot, kind: EventKind, name: str, at: float) -> Said:
    """What users are told of an event. What operators say as a reason is taken for the default language."""
    language, service, state = catalogue.language, catalogue.services[name], snapshot.state(name)
    title = language.english.title(service)
    if state.override is not None:
        plain, reason = made(_SERVICE_TEXTS[kind].format(title=title)), state.override.reason
        texts, lang = _in_one_language(
            language, [lambda spoken: spoken.text(service, kind) or plain, lambda spoken: Said(reason, spoken.default)]
        )
        return Said(_sentences(*texts), lang)
    if state.maintenance is not None and kind in _PLANNED_TEXTS:
        return made(_PLANNED_TEXTS[kind].format(title=title, until=moment(state.maintenance.until, at)))
    own = language.text(service, kind)
    if own:
        return own
    causes = announced(catalogue, roots(catalogue, snapshot, [name])) or (name,)
    if kind in (EventKind.DOWN, EventKind.DEGRADED) and causes != (name,):
        return made(f"{title} is affected: {unavailable(catalogue, snapshot, causes, at)}.")
    category = public_category(state.category)
    text = _SERVICE_TEXTS[kind] if category is None else _REASONED_TEXTS.get((kind, category), _SERVICE_TEXTS[kind])
    return made(text.format(title=title))


def plan_text(catalogue: Catalogue, state: ServiceState, change: PlanChange) -> Said:
    """What users are told of planned work; '' while other planned work goes on that they know of."""
    plan, title, at = change.plan, title_of(catalogue, change.service), change.at
    on = state.maintenance
    if change.action in (PlanAction.ENDED, PlanAction.EXPIRED):
        if not plan.has_begun:
            return made(f"Planned work on {title} was called off.")
        if on is not None:
            return made("")
        still = _STILL_TEXTS.get(state.status, "")
        return made(_sentences(f"Planned work on {title} is over.", still))
    if plan.has_begun:
        if on is not None and on != plan:
            return made("")
        return made(_sentences(f"Planned work on {title} until {moment(plan.until, at)}.", plan.reason))
    from_, until = moment(plan.starts_at, at), moment(plan.until, plan.starts_at)
    return made(_sentences(f"Planned work on {title}: {from_} to {until}.", plan.reason))


# Of everything.


def summary(
    catalogue: Catalogue, services: Sequence[ServiceView], features: Iterable[FeatureView], feed: FeedState, now: float
) -> Said:
    """One sentence a reduced feature; services that are unwell are named only if no feature tells of it. Planned work
    that is on is told in any case."""
    planned = [view for view in services if view.planned and view.planned.has_begun]
    parts = [_of_feature(catalogue, view) for view in features if view.status in REDUCED]
    if not parts:
        unwell = [view for view in services if view.status in (Status.DOWN, Status.DEGRADED) and view not in planned]
        ours = [view.name for view in unwell if view.category is Category.INTERNAL]
        theirs = [view.name for view in unwell if view.category is not Category.INTERNAL]
        if theirs:
            parts.append(_fixed(f"{subject(catalogue, theirs)} having problems right now."))
        if ours:
            parts.append(_fixed(f"{subject(catalogue, ours)} affected by a problem on our side."))
    if planned:
        until = max(view.planned.until for view in planned if view.planned).timestamp()
        what = listed([title_of(catalogue, view.name) for view in planned])
        parts.append(_fixed(f"Planned work on {what} until {moment(until, now)}."))
    if feed is not FeedState.LIVE:
        parts.append(_fixed(FEED_TEXTS[feed]))
    return _joined(catalogue.language, parts)


def own_reason(catalogue: Catalogue, snapshot: Snapshot, causes: Sequence[str]) -> Said | None:
    """What the file itself says of services that are down, to a reader who reads no English.

    None where it does not say it of all of them in the reader's language, or where it would be the wrong thing to say:
    nothing is known of one of them, or the work on it is planned.
    """
    language, said = catalogue.language, []
    if language.is_english:
        return None
    for name in causes:
        service, state = catalogue.services.get(name), snapshot.state(name)
        is_plain = state.status is Status.DOWN and state.maintenance is None
        own = language.text(service, EventKind.DOWN) if service and is_plain else None
        if own is None or primary(own.lang) != primary(language.tags[0]):
            return None
        said.append(own)
    return Said(" ".join(each.text for each in said), common(each.lang for each in said))


def unavailable(catalogue: Catalogue, snapshot: Snapshot, names: Sequence[str], at: float) -> str:
    """That these are unavailable, and why: planned work on all of them, or a problem of ours. Without a full stop."""
    if is_unknown(snapshot, names):
        works = "works" if len(names) == 1 else "work"
        return f"It is not known whether {listed([title_of(catalogue, name) for name in names])} {works}"
    planned = [snapshot.state(name).maintenance for name in names]
    if all(planned):
        until = moment(max(plan.until for plan in planned if plan), at)
        return f"{subject(catalogue, names)} unavailable because of planned work until {until}"
    is_ours = all(public_category(snapshot.state(name).category) is Category.INTERNAL for name in names)
    return f"{subject(catalogue, names)} unavailable{' because of a problem on our side' if is_ours else ''}"


# Pieces of English sentences.


def moment(at: float, now: float) -> str:
    """A time as people read it, with its day where that is not today's: ``14:00 UTC``, ``25 Nov, 14:00 UTC``."""
    then = timestamp(at)
    day = "" if then.date() == timestamp(now).date() else f"{then.day} {then:%b}, "
    return f"{day}{then:%H:%M} UTC"


def subject(catalogue: Catalogue, names: Sequence[str]) -> str:
    """These services, and the verb after them."""
    return f"{listed([title_of(catalogue, name) for name in names])} {'is' if len(names) == 1 else 'are'}"


def title_of(catalogue: Catalogue, name: str) -> str:
    """What a service is called in an English sentence."""
    service: Service | None = catalogue.services.get(name)
    return catalogue.language.english.title(service) if service else name


def listed(titles: list[str]) -> str:
    return titles[0] if len(titles) == 1 else f"{', '.join(titles[:-1])} and {titles[-1]}"


def seconds(milliseconds: int) -> str:
    whole = max(1, round(milliseconds / 1000))
    return "a second" if whole == 1 else f"{whole} seconds"


def announced(catalogue: Catalogue, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in names if catalogue.is_announced(name))


def is_unknown(snapshot: Snapshot, names: Iterable[str]) -> bool:
    return all(snapshot.status(name) is Status.UNKNOWN for name in names)


def _sentences(*parts: str) -> str:
    """Sentences in a row; one that lacks its full stop gets it."""
    said = (part.strip() for part in parts)
    return " ".join(part if part[-1] in ".!?…。！？؟" else f"{part}." for part in said if part)


def _joined(language: Language, parts: Sequence[_Part]) -> Said:
    texts, lang = _in_one_language(language, parts)
    return Said(" ".join(texts), lang)


def _in_one_language(language: Language, parts: Sequence[_Part]) -> tuple[list[str], str]:
    """The parts that are not empty, and their language: the reader's, or the default, or else English."""
    for spoken in (language, language.plain):
        said = [each for part in parts if (each := part(spoken)).text]
        if len({primary(each.lang) for each in said}) == 1:
            return [each.text for each in said], common(each.lang for each in said)
    return [each.text for part in parts if (each := part(language.english)).text], ENGLISH


def _of_feature(catalogue: Catalogue, view: FeatureView) -> _Part:
    return partial(feature_text, feature=catalogue.features[view.name], status=view.status)


def _fixed(text: str) -> _Part:
    said = made(text)
    return lambda spoken: said
