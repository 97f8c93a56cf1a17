"""From domain values to what people read: messages with titles, calm sentences and nothing internal.

The sentences are in ``wording``. Services that are not announced appear nowhere, and neither does what the catalogue
does not have: who is told of a part only, or in another language, is told by a catalogue of that part and language (see
``Scope``). ``internal`` adds what only operators may see.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET

from broadcaster.domain.admission import Admission
from broadcaster.domain.features import FeatureState, FeatureStatus, feature_states
from broadcaster.domain.languages import Said
from broadcaster.domain.model import (
    Catalogue,
    EventKind,
    FeedState,
    Plan,
    PlanChange,
    PlanKind,
    Service,
    ServiceState,
    Snapshot,
)
from broadcaster.protocol import wording
from broadcaster.protocol.closing import fit_reason
from broadcaster.protocol.messages import (
    FeatureView,
    FeedNotice,
    Goodbye,
    InternalView,
    Lang,
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
from broadcaster.protocol.wording import made


def service_view(catalogue: Catalogue, snapshot: Snapshot, name: str, *, internal: bool = False) -> ServiceView:
    """One service as everybody may see it, or as operators do."""
    service, state = catalogue.services[name], snapshot.state(name)
    return ServiceView(
        name=name,
        title=catalogue.language.title(service),
        status=state.status,
        criticality=service.criticality,
        since=timestamp(state.since) if state.since else None,
        category=wording.public_category(state.category),
        caused_by=tuple(each for each in state.caused_by if catalogue.is_announced(each)),
        planned=planned_view(state.planned) if state.planned else UNSET,
        internal=_internal_view(service, state) if internal else UNSET,
    )


def planned_view(plan: Plan) -> PlannedView:
    """Planned work as everybody may see it."""
    return PlannedView(
        starts_at=timestamp(plan.starts_at), until=timestamp(plan.until), reason=plan.reason, has_begun=plan.has_begun
    )


def incident_name(catalogue: Catalogue, incident: str) -> str:
    """What an incident is called. Its name has in it the service that it began with, which may be one that is not told
    of; then it is only the moment."""
    service, _, moment = incident.rpartition("-")
    return incident if not incident or catalogue.is_announced(service) else f"incident-{moment}"


def feature_views(catalogue: Catalogue, snapshot: Snapshot) -> tuple[FeatureView, ...]:
    """Every feature as everybody may see it, in the catalogue's order."""
    return tuple(_feature_view(catalogue, state) for state in feature_states(catalogue, snapshot).values())


def welcome(
    catalogue: Catalogue, snapshot: Snapshot, feed: FeedState, now: float, *, internal: bool = False
) -> Welcome:
    """The first message; its text names what is reduced, and is empty when all is well."""
    services, features = _services(catalogue, snapshot, internal), feature_views(catalogue, snapshot)
    said = wording.summary(catalogue, services, features, feed, now)
    return Welcome(
        position=snapshot.position,
        at=timestamp(now),
        feed=feed,
        services=services,
        features=features,
        text=said.text,
        lang=_lang(said),
    )


def snapshot_message(
    catalogue: Catalogue, snapshot: Snapshot, feed: FeedState, now: float, *, internal: bool = False
) -> SnapshotMessage:
    """The whole truth again; its text is the welcome's."""
    services, features = _services(catalogue, snapshot, internal), feature_views(catalogue, snapshot)
    said = wording.summary(catalogue, services, features, feed, now)
    return SnapshotMessage(
        position=snapshot.position,
        at=timestamp(now),
        feed=feed,
        services=services,
        features=features,
        text=said.text,
        lang=_lang(said),
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
    said = made("")
    if is_explained and not quiet:
        said = wording.features_text(catalogue, views)
    if not (said.text or quiet):
        said = wording.service_text(catalogue, after, kind, service, at)
    return Notice(
        position=after.position,
        at=timestamp(at),
        kind=kind,
        service=service_view(catalogue, after, service, internal=internal),
        features=views,
        text=said.text,
        lang=_lang(said),
        local=local,
        incident=incident_name(catalogue, incident),
        quiet=quiet,
    )


def plan_notice(
    catalogue: Catalogue, before: Snapshot, after: Snapshot, change: PlanChange, *, internal: bool = False
) -> PlanNotice:
    """A change of plans that leaves the service's status as it is; quiet where users lose and learn nothing by it."""
    is_maintenance = change.plan.kind is PlanKind.MAINTENANCE
    said = wording.plan_text(catalogue, after.state(change.service), change) if is_maintenance else made("")
    return PlanNotice(
        position=after.position,
        at=timestamp(change.at),
        service=service_view(catalogue, after, change.service, internal=internal),
        text=said.text,
        lang=_lang(said),
        quiet=not said.text,
    )


def feed_notice(state: FeedState, now: float) -> FeedNotice:
    """How fresh the node's knowledge is, from now on."""
    said = made(wording.FEED_TEXTS[state])
    return FeedNotice(at=timestamp(now), feed=state, text=said.text, lang=said.lang)


def rejected(
    catalogue: Catalogue, admission: Admission, snapshot: Snapshot, now: float, retry_after_ms: int
) -> Rejected:
    """Why a handshake is not served: the root causes in words, what still works, when to come back. To somebody who
    reads no English it is what the file says of the causes, if it says it in their language."""
    features = tuple(_feature_view(catalogue, state) for state in admission.features)
    causes = _causes(catalogue, admission)
    said = wording.own_reason(catalogue, snapshot, causes)
    if said is None:
        english = catalogue.language.english
        works = [
            english.title(catalogue.features[view.name]) for view in features if view.status is FeatureStatus.AVAILABLE
        ]
        it = "it" if len(causes) == 1 else "them"
        why = wording.unavailable(catalogue, snapshot, causes, now)
        sentences = [f"{why}, and we cannot connect you without {it}."]
        if works:
            sentences.append(f"Still working: {wording.listed(works)}.")
        sentences.append(f"Please try again in {wording.seconds(retry_after_ms)}.")
        said = made(" ".join(sentences))
    return Rejected(
        position=snapshot.position,
        at=timestamp(now),
        services=tuple(service_view(catalogue, snapshot, name) for name in admission.blocking),
        features=features,
        text=said.text,
        lang=said.lang,
        retry_after_ms=retry_after_ms,
    )


def waiting(
    catalogue: Catalogue, snapshot: Snapshot, feed: FeedState, now: float, *, blocked: Said, internal: bool = False
) -> Waiting:
    """The whole truth for somebody who stays until it can be served; ``blocked`` says what that waits for."""
    return Waiting(
        position=snapshot.position,
        at=timestamp(now),
        feed=feed,
        services=_services(catalogue, snapshot, internal),
        features=feature_views(catalogue, snapshot),
        text=blocked.text,
        lang=_lang(blocked),
    )


def blocked(catalogue: Catalogue, admission: Admission, snapshot: Snapshot, now: float) -> Said:
    """Why somebody has to wait, and for what; in whose words, see ``rejected``."""
    causes = _causes(catalogue, admission)
    it_is = "it is" if len(causes) == 1 else "they are"
    why = wording.unavailable(catalogue, snapshot, causes, now)
    return wording.own_reason(catalogue, snapshot, causes) or made(
        f"{why}. Stay connected: you will be let in as soon as {it_is} back."
    )


def closing_reason(catalogue: Catalogue, admission: Admission, snapshot: Snapshot, now: float) -> str:
    """The reason of close 1011, in English: at most 123 bytes, and still a sentence."""
    causes = _causes(catalogue, admission)
    planned = all(snapshot.state(name).maintenance for name in causes)
    if planned or wording.is_unknown(snapshot, causes):
        full = wording.unavailable(catalogue, snapshot, causes, now)
    else:
        full = f"{wording.subject(catalogue, causes)} unavailable; please retry in a few seconds"
    if fit_reason(full) == full or len(causes) < 2:
        return fit_reason(full)
    why = " because of planned work" if planned else "; please retry in a few seconds"
    return fit_reason(f"{wording.title_of(catalogue, causes[0])} and {len(causes) - 1} more are unavailable{why}")


def goodbye(now: float, retry_after_ms: int) -> Goodbye:
    """The node goes away on purpose."""
    text = f"This server is restarting. You will be reconnected in {wording.seconds(retry_after_ms)}."
    return _goodbye(made(text), now, retry_after_ms)


def overloaded(now: float, retry_after_ms: int) -> Goodbye:
    """The node has as many connections as it may, or as this client's address may have."""
    text = f"There are too many connections here right now. Please try again in {wording.seconds(retry_after_ms)}."
    return _goodbye(made(text), now, retry_after_ms)


def unknown_names(catalogue: Catalogue, missing: Sequence[str], now: float) -> Goodbye:
    """The client asked for services or features that nobody tells it of: which, and what there is."""
    services = [name for name in catalogue.services if catalogue.is_announced(name)]
    text = f"Not here: {', '.join(missing)}. Services are {', '.join(services)}"
    if catalogue.features:
        text += f"; features are {', '.join(catalogue.features)}"
    return _goodbye(made(f"{text}."), now)


def _goodbye(said: Said, now: float, retry_after_ms: int = 0) -> Goodbye:
    return Goodbye(at=timestamp(now), text=said.text, lang=said.lang, retry_after_ms=retry_after_ms)


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
    said = wording.feature_text(catalogue.language, feature, state.status)
    return FeatureView(
        name=feature.name,
        title=catalogue.language.title(feature),
        status=state.status,
        text=said.text,
        lang=_lang(said),
        because=tuple(name for name in state.because if catalogue.is_announced(name)),
    )


def _causes(catalogue: Catalogue, admission: Admission) -> tuple[str, ...]:
    """What users are told is at the root of a rejection."""
    return wording.announced(catalogue, admission.causes) or admission.blocking


def _lang(said: Said) -> Lang:
    """An empty text is in no language."""
    return said.lang if said.text else UNSET
