"""The shape of ``services.yaml``: frozen structs with their defaults. No I/O, no counters.

Every default here is what a file that says nothing gets. Durations are seconds. The rules a single value must keep
stand in its type: ``decode.py`` explains a value that breaks one, ``schema.py`` tells editors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from broadcaster.domain import languages
from broadcaster.domain.admission import Enforcement
from broadcaster.domain.breaker import LARGEST, BreakerPolicy, SlidingWindowType
from broadcaster.domain.detection import Policy
from broadcaster.domain.languages import Language, Words
from broadcaster.domain.model import Catalogue, Criticality, EventKind, Feature, Service
from broadcaster.domain.pacing import Pace

DEFAULT_REDIS_URL = "redis://127.0.0.1:6379/0"
"""Where the carrier is sought when nothing says otherwise."""


class Duration(float):
    """Seconds. Written ``250ms``, ``30s``, ``5m``, ``1h`` or as a bare number of seconds in a file."""

    __slots__ = ()


Name = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$",
        extra={"rule": "a name: letters, digits, '-', '_' and '.', at most 64, the first a letter or digit"},
    ),
]
"""What services, features and namespaces are called: it becomes part of keys, labels and messages."""

LanguageTag = Annotated[
    str,
    Meta(pattern=f"^{languages.TAG}$", extra={"rule": "a language tag (BCP 47) such as de, pt-BR or zh-Hans"}),
]
EventName = Annotated[
    str, Meta(pattern="^(up|down|degraded|recovered)$", extra={"choices": tuple(kind.value for kind in EventKind)})
]
AuthStyle = Annotated[str, Meta(pattern="^(bearer|x-api-key)$", extra={"choices": ("bearer", "x-api-key")})]
HttpMethod = Annotated[
    str, Meta(pattern="^[A-Z]{1,20}$", extra={"rule": "an HTTP method in capital letters such as GET"})
]
HttpUrl = Annotated[str, Meta(extra={"schemes": ("http", "https")})]
WebSocketUrl = Annotated[str, Meta(extra={"schemes": ("ws", "wss")})]
RedisUrl = Annotated[str, Meta(extra={"schemes": ("redis", "rediss", "unix")})]
PostgresUrl = Annotated[str, Meta(extra={"schemes": ("postgresql", "postgres")})]
HostPort = Annotated[str, Meta(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[^:\[\]\s]+):[0-9]{1,5}$", extra={"rule": "host:port"})]
Port = Annotated[int, Meta(ge=1, le=65535)]
Count = Annotated[int, Meta(ge=1)]
Calls = Annotated[int, Meta(ge=1, le=LARGEST)]
Percentage = Annotated[float, Meta(ge=1, le=100, extra={"rule": "a percentage from 1 to 100 (half is 50)"})]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every mapping in the file."""


class TlsSettings(Section, frozen=True, kw_only=True):
    verify: bool = True
    ca_file: str = ""
    client_cert: str = ""
    client_key: str = ""
    server_name: str = ""


class HttpProbe(Section, frozen=True, kw_only=True, tag_field="kind", tag="http"):
    """Any HTTP endpoint. ``expect_json`` maps dotted paths to the values they must have.

    With ``health_document`` the answer must be a JSON object whose ``status`` says how the service is: pass, ok, up or
    healthy; warn, warning or degraded (impaired); fail, down, error or unhealthy (failed).
    """

    url: HttpUrl
    method: HttpMethod = "GET"
    headers: Mapping[str, str] = {}
    body: str = ""
    expect_status: tuple[int | str, ...] = ("2xx",)
    expect_body: str = ""
    expect_json: Mapping[str, str | int | float | bool | None] = {}
    health_document: bool = False
    follow_redirects: bool = False
    tls: TlsSettings = TlsSettings()


class PostgresProbe(Section, frozen=True, kw_only=True, tag_field="kind", tag="postgres"):
    """Connects and runs ``query``; with ``degraded_in_recovery`` a standby counts as impaired.

    With ``max_replica_lag`` a standby is impaired whose last replayed transaction is older, while more has been
    received than replayed. A primary, and a standby that has replayed all it received, never is.
    """

    dsn: PostgresUrl
    query: str = "SELECT 1"
    degraded_in_recovery: bool = False
    max_replica_lag: Duration | None = None


class RedisProbe(Section, frozen=True, kw_only=True, tag_field="kind", tag="redis"):
    """PING, then what INFO says: loading, read-only replica and a broken replication link are told apart."""

    url: RedisUrl
    allow_replica: bool = False
    tls: TlsSettings = TlsSettings()


class ClickHouseProbe(Section, frozen=True, kw_only=True, tag_field="kind", tag="clickhouse"):
    """The HTTP interface: ``/ping``, then ``query``."""

    url: HttpUrl
    query: str = "SELECT 1"
    user: str = ""
    password: str = ""
    tls: TlsSettings = TlsSettings()


class TcpProbe(Section, frozen=True, kw_only=True, tag_field="kind", tag="tcp"):
    host: str
    port: Port
    tls: TlsSettings | None = None


class WebSocketProbe(Section, frozen=True, kw_only=True, tag_field="kind", tag="websocket"):
    """A handshake, and with ``ping`` a ping that must be answered."""

    url: WebSocketUrl
    ping: bool = True
    headers: Mapping[str, str] = {}
    subprotocols: tuple[str, ...] = ()
    tls: TlsSettings = TlsSettings()


class LlmApiProbe(Section, frozen=True, kw_only=True, tag_field="kind", tag="llm_api"):
    """An authenticated GET of an OpenAI- or Anthropic-style API.

    ``url`` should name what costs nothing: ``https://api.openai.com/v1/models``, ``https://api.anthropic.com/v1/models``.
    ``auth`` says how the key is sent: ``bearer`` (OpenAI), ``x-api-key`` (Anthropic).
    """

    url: HttpUrl
    api_key: str = ""
    auth: AuthStyle = "bearer"
    headers: Mapping[str, str] = {}
    tls: TlsSettings = TlsSettings()


ProbeSettings = HttpProbe | PostgresProbe | RedisProbe | ClickHouseProbe | TcpProbe | WebSocketProbe | LlmApiProbe


class BreakerSettings(Section, frozen=True, kw_only=True):
    """When circuit breakers around an application's own calls open and close; names and behaviour are Resilience4j's.

    What a service leaves out is as in the section ``breaker``; what that leaves out has the default given here. Rates
    are percentages: a breaker opens at ``failure_rate_threshold`` (50) or ``slow_call_rate_threshold`` (80) of the
    calls in its window; a call is slow above ``slow_call_duration_threshold`` (5s). ``sliding_window_type``
    (time_based) says what ``sliding_window_size`` (30) is: seconds, or calls (count_based); fewer than
    ``minimum_number_of_calls`` (20) are not judged. It is open for ``wait_duration_in_open_state`` (5s), then
    ``permitted_number_of_calls_in_half_open_state`` (3) calls test the service; with
    ``automatic_transition_from_open_to_half_open_enabled`` (false) that shows without a call. While tests fail the
    open time grows by ``exponential_backoff_multiplier`` (2) to ``exponential_max_wait_duration_in_open_state`` (1m),
    each longer or shorter by up to the part ``randomized_wait_factor`` (0.2). A test call that did not come back after
    ``max_wait_duration_in_half_open_state`` (1m) leaves its place to another. For ``trust_announcement`` (5m) a
    service that was announced down is believed to be, without a further word.
    """

    failure_rate_threshold: Percentage | None = None
    slow_call_rate_threshold: Percentage | None = None
    slow_call_duration_threshold: Duration | None = None
    permitted_number_of_calls_in_half_open_state: Calls | None = None
    sliding_window_type: SlidingWindowType | None = None
    sliding_window_size: Calls | None = None
    minimum_number_of_calls: Count | None = None
    wait_duration_in_open_state: Duration | None = None
    exponential_backoff_multiplier: Annotated[float, Meta(ge=1)] | None = None
    exponential_max_wait_duration_in_open_state: Duration | None = None
    randomized_wait_factor: Annotated[float, Meta(ge=0, lt=1)] | None = None
    automatic_transition_from_open_to_half_open_enabled: bool | None = None
    max_wait_duration_in_half_open_state: Duration | None = None
    trust_announcement: Duration | None = None

    def policy(self, otherwise: BreakerPolicy = BreakerPolicy()) -> BreakerPolicy:  # noqa: B008 - it is frozen
        """What this says, and ``otherwise`` where it says nothing. Raises BreakerError where both together make no
        sense."""
        given = {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}
        for name, value in given.items():
            if isinstance(value, Duration):
                given[name] = float(value)
            elif name in PERCENTAGES:
                given[name] = value / 100
        return msgspec.structs.replace(otherwise, **given)


PERCENTAGES = ("failure_rate_threshold", "slow_call_rate_threshold")
"""What a file has in percent, as Resilience4j does, and a policy as a part."""


class WordsSettings(Section, frozen=True, kw_only=True):
    """The words of one language for a service or a feature. What it leaves out is said in the language that it falls
    back to (``de-AT``, ``de``, then ``default_locale``)."""

    title: str = ""
    texts: Mapping[EventName, str] = {}


class ServiceSettings(Section, frozen=True, kw_only=True):
    """One service. ``timeout`` and ``retries`` default by criticality and from the environment.

    ``timeout`` bounds one observation; within it, a probe that failed by what may be chance is tried ``retries`` times
    more. ``fall``/``rise`` observations in a row change the state; while that is open the next one comes after
    ``fast_interval`` and, towards ``down``, within ``fast_timeout``. ``degraded_above`` is the limit for the median of
    the last ``degraded_window`` latencies, ``degraded_rate`` for the part of the last 20 observations that failed.
    With ``observers`` above 1 that many workers observe it, and ``quorum`` of them (a majority of those alive in any
    case) must agree. An observation says nothing any more after ``stale_after`` (three intervals and a timeout unless
    given); a critical service of which nothing is known refuses nobody, unless ``fail_open`` is off. ``breaker`` is for
    applications that call the service. ``title`` and ``texts`` are in ``default_locale``, ``locales`` has them in
    further languages.
    """

    probe: ProbeSettings
    criticality: Criticality = Criticality.CRITICAL
    title: str = ""
    depends_on: tuple[Name, ...] = ()
    interval: Duration = Duration(10)
    fast_interval: Duration = Duration(1)
    timeout: Duration | None = None
    retries: Annotated[int, Meta(ge=0, le=100)] | None = None
    fall: Count = 3
    rise: Count = 2
    fast_timeout: Duration = Duration(5)
    degraded_above: Duration | None = None
    degraded_window: Annotated[int, Meta(ge=1, le=100)] = 5
    degraded_rate: Annotated[float, Meta(gt=0, le=1)] = 0.4
    flap_detection: bool = True
    stale_after: Duration | None = None
    fail_open: bool = True
    observers: Annotated[int, Meta(ge=1, le=100)] = 1
    quorum: Annotated[int, Meta(ge=1, le=100)] = 1
    breaker: BreakerSettings = BreakerSettings()
    texts: Mapping[EventName, str] = {}
    locales: Mapping[LanguageTag, WordsSettings] = {}
    runbook: str = ""
    owner: str = ""

    @property
    def attempt_timeout(self) -> float:
        """Seconds an observation may take: ``timeout``, or else the plan's default for its criticality."""
        if self.timeout is not None:
            return self.timeout
        return 30.0 if self.criticality is Criticality.CRITICAL else 10.0

    @property
    def attempt_retries(self) -> int:
        """Further attempts of a failed one: ``retries``, or else the plan's default."""
        return 3 if self.retries is None else self.retries

    @property
    def expires_after(self) -> float:
        """Seconds after which the last observation says nothing any more.

        Unless given, three intervals (or ``rise``, if that is more) and what an observation under way may take.
        """
        if self.stale_after is not None:
            return self.stale_after
        return max(3, self.rise) * self.interval + self.attempt_timeout

    @property
    def policy(self) -> Policy:
        return Policy(
            fall=self.fall,
            rise=self.rise,
            degraded_above=self.degraded_above,
            latency_window=self.degraded_window,
            degraded_rate=self.degraded_rate,
            flap_detection=self.flap_detection,
        )

    @property
    def pace(self) -> Pace:
        return Pace(
            interval=self.interval,
            fast_interval=min(self.fast_interval, self.interval),
            timeout=self.attempt_timeout,
            fast_timeout=self.fast_timeout,
            fall=self.fall,
            rise=self.rise,
        )


class FeatureSettings(Section, frozen=True, kw_only=True):
    """Something users have: every one of ``requires`` and, if given, one of ``any_of``. ``title`` and ``texts`` are in
    ``default_locale``, ``locales`` has them in further languages."""

    title: str = ""
    requires: tuple[Name, ...] = ()
    any_of: tuple[Name, ...] = ()
    texts: Mapping[EventName, str] = {}
    locales: Mapping[LanguageTag, WordsSettings] = {}


class RedisSettings(Section, frozen=True, kw_only=True):
    """Where the carrier is. ``service`` names the service that stands for it, so that a node that loses
    Redis can report that service down from its own evidence."""

    url: RedisUrl = ""
    service: str = ""
    timeout: Duration = Duration(1)


class FeedSettings(Section, frozen=True, kw_only=True):
    """The feed's rhythm. A replica without a heartbeat for ``stale_after`` is stale and says so."""

    heartbeat_interval: Duration = Duration(1)
    stale_after: Duration = Duration(5)
    stream_length: Count = 10_000


class WorkerSettings(Section, frozen=True, kw_only=True):
    """The probe workers. A service is another worker's ``lease_ttl`` after its owner's last sign of life; ``zone``
    says where a worker is. A worker that sees most services fail and reaches none of ``reference_targets``
    (``host:port``), or not Redis, suspects its own network and concludes nothing. At most ``max_probes`` are under way
    at once in a worker, and at most ``host_rate`` a second begin against one host."""

    lease_ttl: Duration = Duration(3)
    zone: str = ""
    reference_targets: tuple[HostPort, ...] = ()
    max_probes: Count = 100
    host_rate: Annotated[float, Meta(gt=0)] = 50.0


class AdmissionMode(StrEnum):
    """What a node does with whom it cannot serve: close with the reason, or keep until it can."""

    REJECT = "reject"
    HOLD = "hold"


class NodeSettings(Section, frozen=True, kw_only=True):
    """The WebSocket node. ``allowed_origins`` are what browsers may come from besides the node's own host;
    ``operator_token`` opens the operators' details (empty: nobody gets them). ``admission`` decides what becomes of
    users whom it cannot serve: refused, they come back after ``retry_after`` to ``retry_after_most`` and a bit; held,
    they are let in ``reconnect_rate`` a second. Whoever is sent away comes to other nodes at that rate. An
    orderly end is announced by ``/readyz`` for ``drain_delay``, and sends everybody away within ``drain_seconds``.
    With a ``tls_certificate`` (the chain, in PEM) and its ``tls_key`` it speaks TLS only. A client that does not read
    is taken off at ``write_limit_bytes`` here, beside ``send_buffer_bytes`` in the kernel, and closed ``stuck_after``
    that. At most ``max_audiences`` different parts of the truth are told at a time; beyond that everybody who asks for
    a part gets the whole."""

    host: str = "127.0.0.1"
    port: Port = 8895
    allowed_origins: tuple[str, ...] = ()
    operator_token: str = ""
    tls_certificate: str = ""
    tls_key: str = ""
    tls_key_password: str = ""
    handshake_timeout: Duration = Duration(10)
    max_header_bytes: Count = 16_384
    backlog: Count = 4096
    max_connections: Count = 18_000
    max_connections_per_address: Count | None = None
    ping_interval: Duration = Duration(20)
    max_audiences: Count = 100
    write_limit_bytes: Count = 65_536
    send_buffer_bytes: Count = 65_536
    stuck_after: Duration = Duration(30)
    admission: AdmissionMode = AdmissionMode.REJECT
    retry_after: Duration = Duration(5)
    retry_after_most: Duration = Duration(30)
    reconnect_rate: Annotated[float, Meta(gt=0)] = 1000.0
    drain_delay: Duration | None = None
    drain_seconds: Duration = Duration(2)


class GateSettings(Section, frozen=True, kw_only=True):
    """What becomes of handshakes that cannot be served. ``mode`` ``observe`` lets everybody in, counts and logs whom
    it would have refused; ``off`` does not even judge. With ``enforce``, ``enforce_percent`` of the users, always
    the same, are refused; the others are let in as if it were ``observe``."""

    mode: Enforcement = Enforcement.ENFORCE
    enforce_percent: Annotated[float, Meta(ge=0, le=100)] = 100.0


class StartupSettings(Section, frozen=True, kw_only=True):
    """How long an application's start waits for critical services: databases, which may have to recover, and others.
    An optional one is waited for, too, if it is named in ``also``."""

    database_timeout: Duration = Duration(600)
    service_timeout: Duration = Duration(30)
    interval: Duration = Duration(1)
    also: tuple[Name, ...] = ()


class Settings(Section, frozen=True, kw_only=True):
    """A whole ``services.yaml``."""

    services: Annotated[Mapping[Name, ServiceSettings], Meta(min_length=1)]
    features: Mapping[Name, FeatureSettings] = {}
    default_locale: LanguageTag = languages.ENGLISH
    namespace: Name = "default"
    redis: RedisSettings = RedisSettings()
    feed: FeedSettings = FeedSettings()
    worker: WorkerSettings = WorkerSettings()
    node: NodeSettings = NodeSettings()
    gate: GateSettings = GateSettings()
    breaker: BreakerSettings = BreakerSettings()
    startup: StartupSettings = StartupSettings()
    graceful_degradation: bool | None = None

    @property
    def shape(self) -> str:
        """A fingerprint of what is watched and how: processes that share a namespace should have the same.

        Workers share services with those only that have the same, so what a version adds must not change it for a file
        that does not use it.
        """
        services = msgspec.to_builtins(self.services, enc_hook=float)
        features = {name: msgspec.structs.asdict(each) for name, each in self.features.items()}
        for each in services.values():
            del each["breaker"]  # each application calls in its own way
        for each in (*services.values(), *features.values()):
            if not each["locales"]:
                del each["locales"]
        watched: dict[str, object] = {
            "services": services,
            "features": {name: _ordered(each) for name, each in features.items()},
        }
        if (default := languages.canonical(self.default_locale)) != languages.ENGLISH:
            watched["default_locale"] = default
        encoded = msgspec.json.Encoder(enc_hook=float, order="deterministic").encode(watched)
        return hashlib.blake2b(encoded, digest_size=6).hexdigest()

    def breaker_policy(self, service: str) -> BreakerPolicy:
        """The policy of the service's circuit breakers. Raises KeyError for a service that there is not."""
        return self.services[service].breaker.policy(self.breaker.policy())

    def catalogue(self) -> Catalogue:
        """The dependency matrix in the domain's words."""
        return Catalogue(
            services={
                name: Service(
                    name=name,
                    criticality=each.criticality,
                    fails_open=each.fail_open,
                    title=each.title or name,
                    depends_on=each.depends_on,
                    texts=each.texts,
                    locales=_words(each.locales),
                    runbook=each.runbook,
                    owner=each.owner,
                )
                for name, each in self.services.items()
            },
            features={
                name: Feature(
                    name=name,
                    title=each.title or name,
                    requires=each.requires,
                    any_of=each.any_of,
                    texts=each.texts,
                    locales=_words(each.locales),
                )
                for name, each in self.features.items()
            },
            degradation=self.graceful_degradation is not False,
            language=Language.of(languages.canonical(self.default_locale)),
        )


def _words(locales: Mapping[str, WordsSettings]) -> dict[str, Words]:
    return {languages.canonical(tag): Words(title=each.title, texts=each.texts) for tag, each in locales.items()}


def _ordered(values: Mapping[str, object]) -> msgspec.Raw:
    """Fields in their order, as a struct has them, and what stands in them in one of its own."""
    inner = msgspec.json.Encoder(order="deterministic")
    fields = (b"%s:%s" % (inner.encode(name), inner.encode(value)) for name, value in values.items())
    return msgspec.Raw(b"{%s}" % b",".join(fields))
