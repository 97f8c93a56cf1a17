"""The store on Redis (6.2 and newer) or Valkey: one Lua script an operation, third-party errors translated here."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.resources import files
from types import MappingProxyType, TracebackType
from typing import Any, Self

import msgspec
import redis.asyncio
import redis.exceptions
import structlog
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from broadcaster.cancellation import insisting
from broadcaster.domain.detection import Decision, DetectorState
from broadcaster.domain.errors import ProtocolError, StoreCorrupted, StoreError, StoreUnavailable
from broadcaster.domain.evidence import Report
from broadcaster.domain.model import Entry, Position, ServiceState, Snapshot
from broadcaster.domain.plans import PlanDecision
from broadcaster.domain.quorum import Vote
from broadcaster.protocol import codec
from broadcaster.protocol.records import AnyRecord, PlanRecord, TransitionRecord
from broadcaster.store.base import Attendance, Fence, Grant, Leased, Outcome, Presence, Reading, Subscription, Written
from broadcaster.store.bodies import entry_body, heartbeat_body, seed_body, state_body
from broadcaster.store.keys import Keys

log = structlog.get_logger()

FORGET_AFTER = 60.0
"""Seconds after which a worker that gave no sign of life is no longer listed."""

EVIDENCE_LENGTH = 1000
"""How many reports are kept, about: a worker reads them within a second, and old ones are worth nothing."""


class RedisStore:
    """A store on one Redis. ``connect`` opens nothing yet; every call is bounded by ``timeout`` seconds a reply.

    An async context manager that closes itself. Safe for concurrent use.
    """

    def __init__(self, client: redis.asyncio.Redis, keys: Keys, *, timeout: float, stream_length: int = 10_000) -> None:
        self._client = client
        self._keys = keys
        self._timeout = timeout
        self._stream_length = stream_length
        self._commit = client.register_script(_lua("commit"))
        self._heartbeat = client.register_script(_lua("heartbeat"))
        self._seed = client.register_script(_lua("seed"))
        self._lease = client.register_script(_lua("lease"))
        self._leave = client.register_script(_lua("leave"))
        self._attend = client.register_script(_lua("attend"))

    @classmethod
    def connect(
        cls, url: str, namespace: str = "default", *, timeout: float = 1.0, stream_length: int = 10_000
    ) -> Self:
        """A store for ``url`` (redis://, rediss:// or unix://). Raises StoreUnavailable if the URL makes no sense."""
        try:
            client = redis.asyncio.Redis.from_url(
                url,
                socket_timeout=timeout,
                socket_connect_timeout=timeout,
                # A silent retry inside the client would hide what the feed must see.
                retry=Retry(NoBackoff(), 0),
                decode_responses=False,
            )
        except ValueError as error:
            raise StoreUnavailable(f"not a Redis URL: {error}") from error
        return cls(client, Keys(namespace), timeout=timeout, stream_length=stream_length)

    def __repr__(self) -> str:
        return f"RedisStore({self._keys!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        with contextlib.suppress(redis.exceptions.RedisError, OSError):
            await self._client.aclose()

    async def read(self) -> Reading:
        keys = self._keys
        async with self._deadline():
            pipe = self._client.pipeline(transaction=True)
            pipe.hmget(keys.meta, ["epoch", "revision", "heartbeat"])
            pipe.hgetall(keys.states)
            pipe.hgetall(keys.observed)
            pipe.time()
            (epoch, revision, heartbeat), states, observed, time = await pipe.execute()
        with _readable():
            services: dict[str, ServiceState] = {}
            for name, raw in states.items():
                service = name.decode()
                seen = observed.get(name)
                services[service] = _state(service, raw, None if seen is None else float(seen))
            for name in observed.keys() - states.keys():
                services[name.decode()] = ServiceState(service=name.decode(), observed_at=float(observed[name]))
            position = Position(epoch.decode(), int(revision)) if epoch else Position()
            age = None if heartbeat is None else max(0.0, time[0] + time[1] / 1e6 - float(heartbeat))
        return Reading(snapshot=Snapshot(position=position, services=services), heartbeat_age=age)

    async def snapshot(self) -> Snapshot:
        """The snapshot alone; see ``read``."""
        return (await self.read()).snapshot

    async def commit(
        self,
        decision: Decision | PlanDecision,
        *,
        commit: str,
        expected_revision: int,
        known: Position,
        fence: Fence | None = None,
    ) -> Written:
        keys = self._keys
        kind, record = entry_body(decision)
        after = decision if isinstance(decision, Decision) else decision.state
        return await self._run(
            self._commit,
            [keys.meta, keys.states, keys.stream, keys.observed, keys.leases, keys.workers],
            [
                keys.channel,
                decision.service,
                expected_revision,
                commit,
                known.epoch,
                known.revision,
                record,
                state_body(after, commit),
                self._stream_length,
                repr(decision.at) if after is decision else "",
                *((fence.worker, fence.token, fence.ttl) if fence else ("", "", 0)),
                kind,
            ],
            service=decision.service,
        )

    async def lease(
        self,
        worker: str,
        presence: Presence,
        *,
        ttl: float,
        keep: Mapping[str, DetectorState],
        release: Collection[str],
        claim: Collection[str],
    ) -> Leased:
        keys = self._keys
        kept = [part for name, state in keep.items() for part in (name, msgspec.json.encode(state))]
        async with self._deadline():
            reply = await self._lease(
                keys=[keys.workers, keys.leases, keys.detection],
                args=[
                    worker,
                    msgspec.json.encode(presence),
                    ttl,
                    FORGET_AFTER,
                    len(keep),
                    *kept,
                    len(release),
                    *release,
                    *claim,
                ],
            )
        with _readable():
            was_alive, peers, claims = reply
            return Leased(
                was_alive=bool(was_alive),
                peers=_presences(peers),
                grants={
                    name.decode(): Grant(token=token or None, owner=owner.decode(), state=_detection(name, state))
                    for name, token, owner, state in zip(*(claims[part::4] for part in range(4)), strict=True)
                },
            )

    async def leave(self, worker: str, held: Mapping[str, int], states: Mapping[str, DetectorState]) -> None:
        keys = self._keys
        parts: list[str | int | bytes] = []
        for service, token in held.items():
            state = states.get(service)
            parts += [service, token, b"" if state is None else msgspec.json.encode(state)]
        async with self._deadline():
            await self._leave(keys=[keys.workers, keys.leases, keys.detection], args=[worker, *parts])

    async def attend(self, reader: str, presence: Presence | None, *, within: float) -> Attendance:
        keys = self._keys
        body = b"" if presence is None else msgspec.json.encode(presence)
        async with self._deadline():
            workers, readers = await self._attend(keys=[keys.workers, keys.readers], args=[reader, body, within])
        with _readable():
            return Attendance(workers=_presences(workers), readers=_presences(readers))

    async def heartbeat(
        self,
        worker: str,
        now: float,
        observed: Mapping[str, float],
        known: Position,
        latencies: Mapping[str, float] = MappingProxyType({}),
    ) -> Written:
        keys = self._keys
        body = heartbeat_body(worker, now, observed, latencies)
        pairs = [part for name, at in observed.items() for part in (name, repr(at))]
        return await self._run(
            self._heartbeat,
            [keys.meta, keys.observed],
            [keys.channel, known.epoch, known.revision, body, *pairs],
        )

    async def vote(self, worker: str, votes: Mapping[str, Vote | None]) -> None:
        async with self._deadline():
            pipe = self._client.pipeline(transaction=False)
            for service, vote in votes.items():
                key = f"{self._keys.votes}:{service}"
                if vote is None:
                    pipe.hdel(key, worker)
                else:
                    pipe.hset(key, worker, msgspec.json.encode(vote))
                    pipe.pexpire(key, round(FORGET_AFTER * 1000 * 60))
            await pipe.execute()

    async def votes(self, services: Collection[str]) -> dict[str, tuple[Vote, ...]]:
        async with self._deadline():
            pipe = self._client.pipeline(transaction=False)
            for service in services:
                pipe.hgetall(f"{self._keys.votes}:{service}")
            replies = await pipe.execute()
        return {name: _votes(name, reply) for name, reply in zip(services, replies, strict=True)}

    async def report(self, reports: Collection[Report]) -> None:
        async with self._deadline():
            pipe = self._client.pipeline(transaction=False)
            for each in reports:
                pipe.xadd(
                    self._keys.evidence,
                    {
                        "service": each.service,
                        "failures": each.failures,
                        "slow": each.slow,
                        "reporter": each.reporter,
                    },
                    maxlen=EVIDENCE_LENGTH,
                    approximate=True,
                )
            await pipe.execute()

    async def reports(self, after: str, timeout: float) -> tuple[str, tuple[Report, ...]]:
        key = self._keys.evidence
        async with self._deadline():
            if not after:
                latest: Any = await self._client.xrevrange(key, "+", "-", count=1)
                return (latest[0][0].decode() if latest else "0-0"), ()
            # Redis must answer before the client loses its patience with it.
            block = max(1, round(min(timeout, self._timeout / 2) * 1000))
            reply: Any = await self._client.xread({key: after}, count=EVIDENCE_LENGTH, block=block)
        entries = reply[0][1] if reply else []
        return (entries[-1][0].decode() if entries else after), tuple(_reports(entries))

    async def seed(
        self, snapshot: Snapshot, *, epoch: str, worker: str, now: float, reason: str, replaces: Position
    ) -> Written:
        keys = self._keys
        triples: list[str | bytes] = []
        for name, state in snapshot.services.items():
            seen = "" if state.observed_at is None else repr(state.observed_at)
            triples += [name, state_body(state, f"seed:{epoch}:{name}"), seen]
        return await self._run(
            self._seed,
            [keys.meta, keys.states, keys.observed, keys.stream],
            [keys.channel, replaces.epoch, replaces.revision, epoch, seed_body(worker, now, reason), *triples],
        )

    async def replay(self, after: Position) -> list[Entry] | None:
        async with self._deadline():
            pipe = self._client.pipeline(transaction=True)
            pipe.hmget(self._keys.meta, ["epoch", "revision"])
            pipe.xrange(self._keys.stream, f"{after.revision + 1}-0", "+")
            (epoch, revision), entries = await pipe.execute()
        if epoch is None or epoch.decode() != after.epoch:
            return None
        with _readable():
            found = [_entry(fields) for _, fields in entries]
            revisions = [each.position.revision for each in found]
            complete = revisions == list(range(after.revision + 1, int(revision) + 1))
        return found if complete else None

    async def history(self, limit: int = 1000) -> list[Entry]:
        async with self._deadline():
            entries: Any = await self._client.xrevrange(self._keys.stream, "+", "-", count=limit)
        with _readable():
            return [_entry(fields) for _, fields in reversed(entries)]

    def subscribe(self) -> AbstractAsyncContextManager[Subscription]:
        return self._subscribed()

    @asynccontextmanager
    async def _subscribed(self) -> AsyncIterator[Subscription]:
        """A connection of its own. redis-py's ``PubSub`` would reconnect by itself, which nobody would hear of, and
        cost as much time again on every message."""
        pool, connection = self._client.connection_pool, None
        try:
            async with self._deadline():
                connection = await pool.get_connection()  # type: ignore[no-untyped-call]
                await connection.send_command("SUBSCRIBE", self._keys.channel)
                confirmation = await connection.read_response(timeout=self._timeout, push_request=True)
            if not confirmation or confirmation[0] != b"subscribe":
                raise StoreUnavailable("Redis did not confirm the subscription in time")
            yield _RedisSubscription(connection)
        finally:
            if connection is not None:
                with contextlib.suppress(redis.exceptions.RedisError, OSError):
                    await connection.disconnect(nowait=True)
                await pool.release(connection)

    async def _run(self, script: Any, keys: Sequence[str], args: Sequence[Any], service: str = "") -> Written:
        async with self._deadline():
            reply = await script(keys=keys, args=args)
        with _readable():
            outcome, epoch, revision, *rest = reply
            state = None
            if rest and rest[0]:
                state = codec.decode_state(rest[0]).state(service, None)
            return Written(
                outcome=Outcome(outcome.decode()), position=Position(epoch.decode(), int(revision)), state=state
            )

    @asynccontextmanager
    async def _deadline(self) -> AsyncIterator[None]:
        """Bounds a call (a connect and a reply) and translates what redis-py raises."""
        try:
            with insisting():
                async with asyncio.timeout(2 * self._timeout):
                    yield
        except TimeoutError as error:
            raise StoreUnavailable("Redis does not answer in time") from error
        except (redis.exceptions.RedisError, OSError) as error:
            raise _translate(error) from error


class _RedisSubscription:
    def __init__(self, connection: redis.asyncio.Connection) -> None:
        self._connection = connection

    async def next(self, timeout: float) -> AnyRecord | None:
        time = asyncio.get_running_loop().time
        deadline = time() + timeout
        while (left := deadline - time()) > 0:
            try:
                with insisting():
                    message = await self._connection.read_response(
                        timeout=left, disconnect_on_error=False, push_request=True
                    )
            except (redis.exceptions.RedisError, OSError) as error:
                raise _translate(error) from error
            if message is None or message[0] != b"message":
                continue
            try:
                return codec.decode_record(message[2])
            except ProtocolError as error:
                log.warning("record_skipped", error=str(error))
        return None


def _translate(error: Exception) -> StoreError:
    if isinstance(error, redis.exceptions.ResponseError) and str(error).startswith("WRONGTYPE"):
        return StoreCorrupted(f"a key of ours holds something else: {error}")
    return StoreUnavailable(f"Redis: {error}" if str(error) else f"Redis: {type(error).__name__}")


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except (ProtocolError, LookupError, ValueError, TypeError, AttributeError) as error:
        raise StoreCorrupted(f"a key of ours holds something this version cannot read: {error}") from error


def _state(service: str, raw: bytes, observed_at: float | None) -> ServiceState:
    """One unreadable state must not blind a reader for all others; the next commit of the service overwrites it."""
    try:
        return codec.decode_state(raw).state(service, observed_at)
    except ProtocolError as error:
        log.warning("state_unreadable", service=service, error=str(error))
        return ServiceState(service=service, observed_at=observed_at)


def _presences(reply: Sequence[bytes]) -> dict[str, Presence]:
    return {name.decode(): _presence(raw) for name, raw in zip(reply[::2], reply[1::2], strict=True)}


def _presence(raw: bytes) -> Presence:
    """Another version's worker is alive all the same."""
    try:
        return msgspec.json.decode(raw, type=Presence)
    except msgspec.MsgspecError:
        return Presence()


def _votes(service: str, reply: Mapping[bytes, bytes]) -> tuple[Vote, ...]:
    """Votes that cannot be read (of another version) are none."""
    votes = []
    for raw in reply.values():
        try:
            votes.append(msgspec.json.decode(raw, type=Vote))
        except msgspec.MsgspecError as error:
            log.warning("vote_unreadable", service=service, error=str(error))
    return tuple(votes)


def _reports(entries: Sequence[tuple[bytes, Mapping[bytes, bytes]]]) -> Iterator[Report]:
    """Anybody may write evidence; what makes no sense as such is none."""
    unreadable = 0
    for _, fields in entries:
        try:
            yield msgspec.convert(
                {name.decode(): value.decode() for name, value in fields.items()}, Report, strict=False
            )
        except (msgspec.MsgspecError, UnicodeDecodeError):
            unreadable += 1
    if unreadable:
        log.warning("evidence_unreadable", reports=unreadable)


def _detection(service: bytes, raw: bytes) -> DetectorState | None:
    """What another version knew of a service and we cannot read is counted anew."""
    try:
        return msgspec.json.decode(raw, type=DetectorState) if raw else None
    except msgspec.MsgspecError as error:
        log.warning("detection_unreadable", service=service.decode(), error=str(error))
        return None


def _entry(fields: Mapping[bytes, bytes]) -> Entry:
    record = codec.decode_record(fields[b"r"])
    if not isinstance(record, TransitionRecord | PlanRecord):
        raise ProtocolError(f"a {type(record).__name__} in the stream")
    return record.entry()


@functools.cache
def _lua(name: str) -> str:
    return files("broadcaster.store").joinpath("lua", f"{name}.lua").read_text()
