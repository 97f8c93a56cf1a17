"""From domain values to what people read: messages with titles, calm sentences and nothing internal.

A text of ``services.yaml`` wins over a sentence made here. Services that are not announced appear nowhere, and neither
does what the catalogue does not have: who is told of a part only is told by a catalogue of that part (see ``Scope``).
``internal`` adds what only operators may see.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import UNSET

from broadcaster.domain.admission import Admission
from broadcaster.domain.features import FeatureState, FeatureStatus, feature_states, roots
from broadcaster.domain.model import (
    Catalogue,
    Category,
    EventKind,
    FeedState,
    Plan,
    PlanAction,
    PlanChange,
    PlanKind,
    Service,
    ServiceState,
    Snapshot,
    Status,
)
from broadcaster.protocol.closing import fit_reason
from broadcaster.protocol.messages import (
    FeatureView,
    FeedNotice,
    Goodbye,
    InternalView,
    Notice,
    PlannedView,
    PlanNotice,
    PlanView,
    Rejected,
    ServiceView,
    SnapshotMessage,
    Waiting,
    Welcome,
    timestamp,
)

_REDUCED = (FeatureStatus.LIMITED, FeatureStatus.UNAVAILABLE)

_FEATURE_TEXTS = {
    FeatureStatus.AVAILABLE: "",
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

_FEED_TEXTS = {
    FeedState.LIVE: "Status is up to date again.",
    FeedState.UNWATCHED: "Status is not being watched right now; what you see may be out of date.",
    FeedState.LOST: "This node has lost its source of status; what you see may be out of date.",
}


def public_category(category: Category | None) -> Category | None:
    """Why a service is not well, as everybody may know it.

    That somebody refuses our credentials is for operators: an attacker learns from it what to try. To users it is
    ``internal``, as is a probe that cannot do its work: a problem on our side, and they need not know which.
    """
    return Category.INTERNAL if category in (Category.AUTH, Category.MISCONFIGURED) else category


def service_view(catalogue: Catalogue, snapshot: Snapshot, name: str, *, internal: bool = False) -> ServiceView:
    """One service as everybody may see it, or as operators do."""
    service, state = catalogue.services[name], snapshot.state(name)
    return ServiceView(
        name=name,
        title=_title(service),
        status=state.status,
        criticality=service.criticality,
        since=timestamp(state.since) if state.since else None,
        category=public_category(state.category),
        caused_by=tuple(each for each in state.caused_by if catalogue.is_announced(each)),
        planned=planned_view(state.planned) if state.planned else UNSET,
        internal=_internal_view(service, state) if internal else UNSET,
    )


def planned_view(plan: Plan) -> PlannedView:
    """Planned work as everybody may see it."""
    return PlannedView(
        starts_at=timestamp(plan.starts_at), until=timestamp(plan.until), reason=plan.reason, has_begun=plan.has_begun
    )


def feature_views(catalogue: Catalogue, snapshot: Snapshot) -> tuple[FeatureView, ...]:
    """Every feature as everybody may see it, in the catalogue's order."""
    return tuple(_feature_view(catalogue, state) for state in feature_states(catalogue, snapshot).values())


def welcome(
    catalogue: Catalogue, snapshot: Snapshot, feed: FeedState, now: float, *, internal: bool = False
) -> Welcome:
    """The first message; its text names what is reduced, and is empty when all is well."""
    services, features = _services(catalogue, snapshot, internal), feature_views(catalogue, snapshot)
    return Welcome(
        position=snapshot.position,
        at=timestamp(now),
        feed=feed,
        services=services,
        features=features,
        text=_summary(services, features, feed, now),
    )


def snapshot_message(
    catalogue: Catalogue, snapshot: Snapshot, feed: FeedState, now: float, *, internal: bool = False
) -> SnapshotMessage:
    """The whole truth again; its text is the welcome's."""
    services, features = _services(catalogue, snapshot, internal), feature_views(catalogue, snapshot)
    return SnapshotMessage(
        position=snapshot.position,
        at=timestamp(now),
        feed=feed,
        services=services,
        features=features,
        text=_summary(services, features, feed, now),
    )


def notice(
    catalogue: Catalogue,
    before: Snapshot,
    after: Snapshot,
    kind: EventKind,
    service: str,
    at: float,
    local: bool = False,
    incident: str = "",
    *,
    internal: bool = False,
) -> Notice:
    """One change of an announced service, with the features whose state it changes.

    A failure that another one explains, which was told, is told only by what it takes from users; if that is nothing,
    the notice is quiet. So is the first good observation of a service (``up``): nobody was told otherwise; and what is
    observed while an override says otherwise. Recoveries are never quiet.
    """
    was, now = feature_states(catalogue, before), feature_states(catalogue, after, since=before)
    changed = [state for name, state in now.items() if state is not was[name] and state != was[name]]
    is_explained = kind in (EventKind.DOWN, EventKind.DEGRADED) and any(
        catalogue.is_announced(name) and name != service for name in after.state(service).caused_by
    )
    takes_nothing = all(state.status is was[state.feature].status for state in changed)
    state = after.state(service)
    is_overridden = state.override is not None and state.status is before.status(service)
    quiet = kind is EventKind.UP or is_overridden or (is_explained and takes_nothing)
    views = tuple(_feature_view(catalogue, state) for state in changed)
    text = "" if quiet else _service_text(catalogue, after, kind, service, at)
    if is_explained and not quiet:
        text = " ".join(view.text for view in views if view.status in _REDUCED and view.text) or text
    return Notice(
        position=after.position,
        at=timestamp(at),
        kind=kind,
        service=service_view(catalogue, after, service, internal=internal),
        features=views,
        text=text,
        local=local,
        incident=incident,
        quiet=quiet,
    )


def plan_notice(
    catalogue: Catalogue, before: Snapshot, after: Snapshot, change: PlanChange, *, internal: bool = False
) -> PlanNotice:
    """A change of plans that leaves the service's status as it is; quiet where users lose and learn nothing by it."""
    service, plan = catalogue.services[change.service], change.plan
    text = ""
    if plan.kind is PlanKind.MAINTENANCE:
        text = _plan_text(service, after.state(change.service), change)
    return PlanNotice(
        position=after.position,
        at=timestamp(change.at),
        service=service_view(catalogue, after, change.service, internal=internal),
        text=text,
        quiet=not text,
    )


def feed_notice(state: FeedState, now: float) -> FeedNotice:
    """How fresh the node's knowledge is, from now on."""
    return FeedNotice(at=timestamp(now), feed=state, text=_FEED_TEXTS[state])


def rejected(
    catalogue: Catalogue, admission: Admission, snapshot: Snapshot, now: float, retry_after_ms: int
) -> Rejected:
    """Why a handshake is not served: the root causes in words, what still works, when to come back."""
    features = tuple(_feature_view(catalogue, state) for state in admission.features)
    works = [view.title for view in features if view.status is FeatureStatus.AVAILABLE]
    causes = _causes(catalogue, admission)
    it = "it" if len(causes) == 1 else "them"
    sentences = [f"{_unavailable(catalogue, snapshot, causes, now)}, and we cannot connect you without {it}."]
    if works:
        sentences.append(f"Still working: {_listed(works)}.")
    sentences.append(f"Please try again in {_seconds(retry_after_ms)}.")
    return Rejected(
        position=snapshot.position,
        at=timestamp(now),
        services=tuple(service_view(catalogue, snapshot, name) for name in admission.blocking),
        features=features,
        text=" ".join(sentences),
        retry_after_ms=retry_after_ms,
    )


def waiting(
    catalogue: Catalogue, snapshot: Snapshot, feed: FeedState, now: float, *, blocked: str, internal: bool = False
) -> Waiting:
    """The whole truth for somebody who stays until it can be served; ``blocked`` says what that waits for."""
    return Waiting(
        position=snapshot.position,
        at=timestamp(now),
        feed=feed,
        services=_services(catalogue, snapshot, internal),
        features=feature_views(catalogue, snapshot),
        text=blocked,
    )


def blocked(catalogue: Catalogue, admission: Admission, snapshot: Snapshot, now: float) -> str:
    """Why somebody has to wait, and for what."""
    causes = _causes(catalogue, admission)
    it_is = "it is" if len(causes) == 1 else "they are"
    return (
        f"{_unavailable(catalogue, snapshot, causes, now)}. Stay connected: you will be let in as soon as {it_is} back."
    )


def closing_reason(catalogue: Catalogue, admission: Admission, snapshot: Snapshot, now: float) -> str:
    """The reason of close 1011: at most 123 bytes, and still a sentence."""
    causes = _causes(catalogue, admission)
    planned = all(snapshot.state(name).maintenance for name in causes)
    if planned or _is_unknown(snapshot, causes):
        full = _unavailable(catalogue, snapshot, causes, now)
    else:
        full = f"{_subject(catalogue, causes)} unavailable; please retry in a few seconds"
    if fit_reason(full) == full or len(causes) < 2:
        return fit_reason(full)
    why = " because of planned work" if planned else "; please retry in a few seconds"
    return fit_reason(f"{_title_of(catalogue, causes[0])} and {len(causes) - 1} more are unavailable{why}")


def goodbye(now: float, retry_after_ms: int) -> Goodbye:
    """The node goes away on purpose."""
    text = f"This server is restarting. You will be reconnected in {_seconds(retry_after_ms)}."
    return Goodbye(at=timestamp(now), text=text, retry_after_ms=retry_after_ms)


def overloaded(now: float, retry_after_ms: int) -> Goodbye:
    """The node has as many connections as it may, or as this client's address may have."""
    text = f"There are too many connections here right now. Please try again in {_seconds(retry_after_ms)}."
    return Goodbye(at=timestamp(now), text=text, retry_after_ms=retry_after_ms)


def unknown_names(catalogue: Catalogue, missing: Sequence[str], now: float) -> Goodbye:
    """The client asked for services or features that nobody tells it of: which, and what there is."""
    services = [name for name in catalogue.services if catalogue.is_announced(name)]
    text = f"Not here: {', '.join(missing)}. Services are {', '.join(services)}"
    if catalogue.features:
        text += f"; features are {', '.join(catalogue.features)}"
    return Goodbye(at=timestamp(now), text=f"{text}.")


def _services(catalogue: Catalogue, snapshot: Snapshot, internal: bool) -> tuple[ServiceView, ...]:
    return tuple(
        service_view(catalogue, snapshot, name, internal=internal)
        for name in catalogue.services
        if catalogue.is_announced(name)
    )


def _internal_view(service: Service, state: ServiceState) -> InternalView:
    return InternalView(
        category=state.category,
        detail=state.detail,
        latency_ms=None if state.latency is None else round(state.latency * 1000, 3),
        observed_at=None if state.observed_at is None else timestamp(state.observed_at),
        owner=service.owner,
        runbook=service.runbook,
        plans=tuple(
            PlanView(
                kind=plan.kind,
                starts_at=timestamp(plan.starts_at),
                until=timestamp(plan.until),
                by=plan.by,
                reason=plan.reason,
                status=plan.status,
                has_begun=plan.has_begun,
            )
            for plan in state.plans
        ),
    )


def _feature_view(catalogue: Catalogue, state: FeatureState) -> FeatureView:
    feature = catalogue.features[state.feature]
    title = feature.title or feature.name
    kind = _FEATURE_KINDS.get(state.status)
    own = feature.texts.get(kind.value) if kind else None
    return FeatureView(
        name=feature.name,
        title=title,
        status=state.status,
        text=own or _FEATURE_TEXTS[state.status].format(title=title),
        because=tuple(name for name in state.because if catalogue.is_announced(name)),
    )


def _service_text(catalogue: Catalogue, snapshot: Snapshot, kind: EventKind, name: str, at: float) -> str:
    service, state = catalogue.services[name], snapshot.state(name)
    if state.override is not None:
        return _sentences(
            service.texts.get(kind.value) or _SERVICE_TEXTS[kind].format(title=_title(service)), state.override.reason
        )
    if state.maintenance is not None and kind in _PLANNED_TEXTS:
        return _PLANNED_TEXTS[kind].format(title=_title(service), until=moment(state.maintenance.until, at))
    own = service.texts.get(kind.value)
    if own:
        return own
    causes = _announced(catalogue, roots(catalogue, snapshot, [name])) or (name,)
    if kind in (EventKind.DOWN, EventKind.DEGRADED) and causes != (name,):
        return f"{_title(service)} is affected: {_unavailable(catalogue, snapshot, causes, at)}."
    category = public_category(state.category)
    text = _SERVICE_TEXTS[kind] if category is None else _REASONED_TEXTS.get((kind, category), _SERVICE_TEXTS[kind])
    return text.format(title=_title(service))


def _summary(services: Sequence[ServiceView], features: Iterable[FeatureView], feed: FeedState, now: float) -> str:
    """One sentence a reduced feature; services that are unwell are named only if no feature tells of it. Planned work
    that is on is told in any case."""
    planned = [view for view in services if view.planned and view.planned.has_begun]
    sentences = [view.text for view in features if view.status in _REDUCED]
    if not sentences:
        unwell = [view for view in services if view.status in (Status.DOWN, Status.DEGRADED) and view not in planned]
        ours = [view.title for view in unwell if view.category is Category.INTERNAL]
        theirs = [view.title for view in unwell if view.category is not Category.INTERNAL]
        if theirs:
            sentences.append(f"{_listed(theirs)} {_be(theirs)} having problems right now.")
        if ours:
            sentences.append(f"{_listed(ours)} {_be(ours)} affected by a problem on our side.")
    if planned:
        until = max(view.planned.until for view in planned if view.planned).timestamp()
        sentences.append(f"Planned work on {_listed([view.title for view in planned])} until {moment(until, now)}.")
    if feed is not FeedState.LIVE:
        sentences.append(_FEED_TEXTS[feed])
    return " ".join(sentences)


def _unavailable(catalogue: Catalogue, snapshot: Snapshot, names: Sequence[str], at: float) -> str:
    """That these are unavailable, and why: planned work on all of them, or a problem of ours. Without a full stop."""
    if _is_unknown(snapshot, names):
        works = "works" if len(names) == 1 else "work"
        return f"It is not known whether {_listed([_title_of(catalogue, name) for name in names])} {works}"
    planned = [snapshot.state(name).maintenance for name in names]
    if all(planned):
        until = moment(max(plan.until for plan in planned if plan), at)
        return f"{_subject(catalogue, names)} unavailable because of planned work until {until}"
    is_ours = all(public_category(snapshot.state(name).category) is Category.INTERNAL for name in names)
    return f"{_subject(catalogue, names)} unavailable{' because of a problem on our side' if is_ours else ''}"


def _plan_text(service: Service, state: ServiceState, change: PlanChange) -> str:
    """What users are told of planned work; '' while other planned work goes on that they know of."""
    plan, title, at = change.plan, _title(service), change.at
    on = state.maintenance
    if change.action in (PlanAction.ENDED, PlanAction.EXPIRED):
        if not plan.has_begun:
            return f"Planned work on {title} was called off."
        if on is not None:
            return ""
        still = _STILL_TEXTS.get(state.status, "")
        return _sentences(f"Planned work on {title} is over.", still)
    if plan.has_begun:
        if on is not None and on != plan:
            return ""
        return _sentences(f"Planned work on {title} until {moment(plan.until, at)}.", plan.reason)
    from_, until = moment(plan.starts_at, at), moment(plan.until, plan.starts_at)
    return _sentences(f"Planned work on {title}: {from_} to {until}.", plan.reason)


def moment(at: float, now: float) -> str:
    """A time as people read it, with its day where that is not today's: ``14:00 UTC``, ``25 Nov, 14:00 UTC``."""
    then = timestamp(at)
    day = "" if then.date() == timestamp(now).date() else f"{then.day} {then:%b}, "
    return f"{day}{then:%H:%M} UTC"


def _sentences(*parts: str) -> str:
    """Sentences in a row; one that lacks its full stop gets it."""
    said = (part.strip() for part in parts)
    return " ".join(part if part[-1] in ".!?" else f"{part}." for part in said if part)


def _announced(catalogue: Catalogue, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in names if catalogue.is_announced(name))


def _causes(catalogue: Catalogue, admission: Admission) -> tuple[str, ...]:
    """What users are told is at the root of a rejection."""
    return _announced(catalogue, admission.causes) or admission.blocking


def _is_unknown(snapshot: Snapshot, names: Iterable[str]) -> bool:
    return all(snapshot.status(name) is Status.UNKNOWN for name in names)


def _subject(catalogue: Catalogue, names: Iterable[str]) -> str:
    titles = [_title_of(catalogue, name) for name in names]
    return f"{_listed(titles)} {_be(titles)}"


def _title(service: Service) -> str:
    return service.title or service.name


def _title_of(catalogue: Catalogue, name: str) -> str:
    service = catalogue.services.get(name)
    return _title(service) if service else name


def _listed(titles: list[str]) -> str:
    return titles[0] if len(titles) == 1 else f"{', '.join(titles[:-1])} and {titles[-1]}"


def _be(titles: list[str]) -> str:
    return "is" if len(titles) == 1 else "are"


def _seconds(milliseconds: int) -> str:
    seconds = max(1, round(milliseconds / 1000))
    return "a second" if seconds == 1 else f"{seconds} seconds"
