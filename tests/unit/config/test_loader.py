"""services.yaml read, completed, or refused with everything that is wrong with it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
import yaml

from broadcaster.config.loader import load_settings, parse_settings
from broadcaster.config.settings import HttpProbe, LlmApiProbe, Settings, TcpProbe
from broadcaster.config.tree import MAX_BYTES
from broadcaster.domain.errors import ConfigError
from broadcaster.domain.model import Criticality

SMALLEST = "services: {a: {probe: {kind: tcp, host: h, port: 1}}}\n"


def parse(text: str, **env: str) -> Settings:
    return parse_settings(text, "f.yaml", env)


def refused(text: str, env: Mapping[str, str] | None = None) -> list[str]:
    """The lines of the error that ``text`` gives."""
    with pytest.raises(ConfigError) as caught:
        parse_settings(text, "f.yaml", env or {})
    return caught.value.lines()


def service(lines: str) -> str:
    """A file with one service ``a``, whose further fields begin on line 4 in column 5."""
    return f"services:\n  a:\n    probe: {{kind: tcp, host: h, port: 1}}\n    {lines}\n"


class TestReading:
    def test_a_whole_file_is_read(self) -> None:
        """Every kind of value arrives as the type that the settings declare."""
        settings = parse(
            """
            namespace: chat
            services:
              auth:
                criticality: optional
                depends_on: [db]
                interval: 1m
                degraded_above: 0.5
                fall: 5
                texts: {down: "Signing in: no"}
                owner: no
                probe:
                  kind: http
                  url: https://auth/health
                  expect_status: [200, 3xx]
                  expect_json: {a.b: 1, c: true, d: null, e: "1", f: 1.5, g: text}
                  headers: {X-Id: 0123}
                  follow_redirects: yes
                  tls: {verify: false}
              db: {probe: {kind: tcp, host: db, port: 5432}}
            features: {chat: {requires: [auth], any_of: [db]}}
            """
        )
        auth = settings.services["auth"]
        assert auth.criticality is Criticality.OPTIONAL
        assert (auth.depends_on, auth.interval, auth.degraded_above, auth.fall) == (("db",), 60.0, 0.5, 5)
        assert (auth.texts, auth.owner) == ({"down": "Signing in: no"}, "no")
        assert isinstance(auth.probe, HttpProbe)
        assert auth.probe.expect_status == (200, "3xx")
        assert auth.probe.expect_json == {"a.b": 1, "c": True, "d": None, "e": "1", "f": 1.5, "g": "text"}
        assert auth.probe.headers == {"X-Id": "0123"}
        assert auth.probe.follow_redirects is True
        assert auth.probe.tls.verify is False
        assert settings.catalogue().features["chat"].any_of == ("db",)

    def test_a_reference_takes_the_type_of_its_place(self) -> None:
        """What a variable holds is read as its field demands, quoted or not."""
        settings = parse(
            """
            graceful_degradation: ${ON}
            services:
              a:
                interval: "${PACE}"
                fall: ${FALL}
                probe: {kind: tcp, host: "${HOST:-localhost}", port: "${PORT}"}
            """,
            ON="false",
            PACE="250ms",
            FALL="7",
            PORT="99",
        )
        a = settings.services["a"]
        assert settings.graceful_degradation is False
        assert (a.interval, a.fall, a.probe) == (0.25, 7, TcpProbe(host="localhost", port=99))

    def test_what_a_variable_holds_cannot_change_the_structure(self) -> None:
        """References are resolved after YAML was parsed."""
        evil = "x', port: 2}\nnamespace: other\n"
        settings = parse("services: {a: {probe: {kind: tcp, host: '${EVIL}', port: 1}}}", EVIL=evil)
        assert settings.services["a"].probe == TcpProbe(host=evil, port=1)
        assert settings.namespace == "default"

    def test_anchors_and_merge_keys_work(self) -> None:
        """A mapping is shared by alias or merge; what is written out wins, the first of several merged wins."""
        settings = parse(
            """
            x-slow: &slow {interval: 60s, fall: 9}
            x-small: &small {fall: 2, rise: 1, owner: me}
            services:
              a:
                <<: [*small, *slow]
                rise: 4
                probe: &probe {kind: tcp, host: h, port: 1}
              b: {<<: *slow, probe: *probe}
            """
        )
        a, b = settings.services["a"], settings.services["b"]
        assert (a.interval, a.fall, a.rise, a.owner) == (60.0, 2, 4, "me")
        assert (b.interval, b.fall, b.probe) == (60.0, 9, a.probe)

    def test_the_fast_interval_never_exceeds_the_interval_unless_written_so(self) -> None:
        """A short interval lowers the default of the fast one."""
        assert parse(service("interval: 200ms")).services["a"].fast_interval == 0.2


class TestDefaults:
    def test_the_plan_fills_what_file_and_environment_leave_open(self) -> None:
        """Timeouts by criticality, retries and degradation are never open after loading."""
        settings = parse(
            """
            services:
              a: {probe: {kind: tcp, host: h, port: 1}}
              b: {criticality: optional, probe: {kind: tcp, host: h, port: 1}}
            """
        )
        found = [(each.timeout, each.retries) for each in settings.services.values()]
        assert found == [(30.0, 3), (10.0, 3)]
        assert settings.graceful_degradation is True
        assert settings.redis.url == ""

    def test_the_environment_stands_in_for_what_the_file_leaves_open(self) -> None:
        """The plan's variables are defaults."""
        settings = parse(
            """
            services:
              a: {probe: {kind: tcp, host: h, port: 1}}
              b: {criticality: optional, probe: {kind: tcp, host: h, port: 1}}
            """,
            DEPENDENCY_CHECK_TIMEOUT_CRITICAL="7",
            DEPENDENCY_CHECK_TIMEOUT_OPTIONAL="500ms",
            DEPENDENCY_CHECK_RETRY_COUNT="0",
            GRACEFUL_DEGRADATION_ENABLED="False",
            REDIS_URL="redis://carrier:1/2",
        )
        found = [(each.timeout, each.retries) for each in settings.services.values()]
        assert found == [(7.0, 0), (0.5, 0)]
        assert settings.graceful_degradation is False
        assert settings.redis.url == "redis://carrier:1/2"

    def test_the_file_wins_over_the_environment(self) -> None:
        """A value that is written is kept, also where it equals a falsy default."""
        settings = parse(
            """
            graceful_degradation: true
            redis: {url: "redis://file"}
            services: {a: {timeout: 2s, retries: 0, probe: {kind: tcp, host: h, port: 1}}}
            """,
            DEPENDENCY_CHECK_TIMEOUT_CRITICAL="7",
            DEPENDENCY_CHECK_RETRY_COUNT="9",
            GRACEFUL_DEGRADATION_ENABLED="0",
            REDIS_URL="redis://environment",
        )
        a = settings.services["a"]
        assert (a.timeout, a.retries, settings.graceful_degradation) == (2.0, 0, True)
        assert settings.redis.url == "redis://file"

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("DEPENDENCY_CHECK_TIMEOUT_CRITICAL", "soon"),
            ("DEPENDENCY_CHECK_TIMEOUT_OPTIONAL", "-1"),
            ("DEPENDENCY_CHECK_RETRY_COUNT", "-1"),
            ("DEPENDENCY_CHECK_RETRY_COUNT", "1.5"),
            ("GRACEFUL_DEGRADATION_ENABLED", "maybe"),
            ("REDIS_URL", "carrier:6379"),
        ],
    )
    def test_a_variable_that_makes_no_sense_is_named_but_not_quoted(self, name: str, value: str) -> None:
        """A bad default is a problem of the variable, and its value may be a secret."""
        [line] = refused(SMALLEST, {name: value})
        assert line.startswith(f"f.yaml: ${name}: ")
        assert value not in line.replace(name, "")

    def test_an_empty_variable_says_nothing(self) -> None:
        """As in a shell, empty is as good as unset."""
        settings = parse(SMALLEST, DEPENDENCY_CHECK_RETRY_COUNT="", REDIS_URL="", GRACEFUL_DEGRADATION_ENABLED="")
        assert settings.services["a"].retries == 3


class TestProblems:
    def test_all_problems_are_told_in_one_go_with_their_places(self) -> None:
        """One error names each problem of several sections, in the order of the file."""
        text = """\
services:
  a:
    probe: {kind: http, url: "htp://user:hidden@y", expect_status: [200, 9xx]}
    intervall: 5s
    timeout: -3s
    retries: "4"
    depends_on: [bb]
    texts: {dwn: x}
  b b:
    probe: {kind: htp, url: x}
    criticality: importnt
  c:
    probe: {kind: tcp, host: "${NOPE}", port: 99999}
    fall: 1
    fall: 2
  d: {probe: {kind: tcp, port: 1}, fast_interval: 50s}
features:
  f: {requires: [zz]}
  g: {}
redis: {service: x}
bogus: 1
"""
        assert refused(text, {"DEPENDENCY_CHECK_RETRY_COUNT": "x"}) == [
            "f.yaml: $DEPENDENCY_CHECK_RETRY_COUNT: must be a whole number from 0 to 100",
            "f.yaml:3:30: services.a.probe.url: a URL of the wrong scheme (must begin with http:// or https://)",
            "f.yaml:3:74: services.a.probe.expect_status[1]: must be a status such as 200 or a class such as '2xx'",
            "f.yaml:4:5: services.a.intervall: unknown field (did you mean 'interval'?)",
            "f.yaml:5:14: services.a.timeout: '-3s' is not a duration such as 250ms, 30s, 5m or 1h",
            "f.yaml:6:14: services.a.retries: '4' is not a whole number from 0 to 100 (write it without quotes)",
            "f.yaml:7:18: services.a.depends_on[0]: no service is called 'bb' (did you mean 'b b'?)",
            "f.yaml:8:13: services.a.texts.dwn: must be one of up, down, degraded, recovered (did you mean 'down'?)",
            "f.yaml:9:3: services.b b: must be a name: letters, digits, '-', '_' and '.', at most 64, the first a "
            "letter or digit",
            "f.yaml:10:19: services.b b.probe.kind: 'htp' is not known (did you mean 'http'?)",
            "f.yaml:11:18: services.b b.criticality: 'importnt' is not one of critical, optional",
            "f.yaml:13:31: services.c.probe.host: the environment variable NOPE is not set (set it, or write "
            "'${NOPE:-default}')",
            "f.yaml:13:47: services.c.probe.port: '99999' is not a whole number from 1 to 65535",
            "f.yaml:15:5: services.c.fall: written twice (the first is on line 14)",
            "f.yaml:16:14: services.d.probe: 'host' is missing (must be a text)",
            "f.yaml:16:51: services.d.fast_interval: must not be above interval (10s)",
            "f.yaml:18:18: features.f.requires[0]: no service is called 'zz' (known: a, b b, c, d)",
            "f.yaml:19:6: features.g: needs nothing, so nothing could ever be told of it (name services in 'requires')",
            "f.yaml:20:18: redis.service: no service is called 'x' (known: a, b b, c, d)",
            "f.yaml:21:1: bogus: unknown field (known: services, features, default_locale, namespace, redis, feed, "
            "worker, node, gate, breaker, startup, graceful_degradation)",
        ]

    @pytest.mark.parametrize(
        ("lines", "problem"),
        [
            ("criticality: optional\n    fail_open: false", "5:16: services.a.fail_open: an optional service refuses"),
            ("fall: 0", "4:11: services.a.fall: '0' is not a whole number of at least 1"),
            ("rise: 1.5", "4:11: services.a.rise: '1.5' is not a whole number of at least 1"),
            ("rise: [1]", "4:11: services.a.rise: must be a whole number of at least 1, is a list"),
            ("retries: -1", "4:14: services.a.retries: '-1' is not a whole number from 0 to 100"),
            ("interval: 0", "4:15: services.a.interval: '0' is not a duration"),
            ("interval:", "4:14: services.a.interval: must be a duration such as 250ms, 30s, 5m or 1h, is empty"),
            ("title: {a: b}", "4:12: services.a.title: must be a text, is a mapping"),
            ("depends_on: a", "4:17: services.a.depends_on: must be a list, is a single value"),
            ("texts: down", "4:12: services.a.texts: must be a mapping, is a single value"),
            ("title: !secret x", "4:12: services.a.title: YAML tags such as '!name' have no meaning here"),
            ("[a]: b", "4:5: services.a: a key must be a text, is a list"),
            ("<<: x", "4:5: services.a: '<<' must name another mapping, or a list of them"),
            ("title: 'a ${NOPE}'", "4:15: services.a.title: the environment variable NOPE is not set"),
        ],
    )
    def test_a_wrong_value_is_told_with_what_would_be_right(self, lines: str, problem: str) -> None:
        """Each rule of a service's fields has its own sentence, at the value."""
        [line] = refused(service(lines))
        assert line.startswith(f"f.yaml:{problem}")

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("", "f.yaml:1:1: the file is empty"),
            ("# nothing\n", "f.yaml:1:1: the file is empty"),
            ("[]", "f.yaml:1:1: must be a mapping with 'services', is a list"),
            ("hello", "f.yaml:1:1: must be a mapping with 'services', is a single value"),
            ("namespace: x", "f.yaml:1:1: 'services' is missing"),
            ("services: {}", "f.yaml:1:11: services: must not be empty"),
            ("services:", "f.yaml:1:10: services: must be a mapping, is empty"),
            ("services: {a:}", "f.yaml:1:14: services.a: must be a mapping, is empty"),
            ("a: [", "f.yaml:1:5: not YAML: "),
            ("\tservices: 1", "f.yaml:1:1: not YAML: "),
            ("a: *nowhere", "f.yaml:1:4: not YAML: found undefined alias"),
            ("a: 1\n---\nb: 2", "f.yaml:2:1: not YAML: "),
            ("a: \x07", "f.yaml:1:4: a control character that YAML does not allow"),
            ("a: {b: ${C}}", "f.yaml:1:9: not YAML: "),
            ("[" * 5000, "f.yaml:1:1: nested too deeply"),
            ("services: &s {<<: *s}", "f.yaml:1:15: services: '<<' must name another mapping"),
            ("services: &s {a: *s}", "f.yaml:1:11: services.a: 'probe' is missing"),
        ],
    )
    def test_a_file_that_is_no_config_is_refused_without_a_traceback(self, text: str, problem: str) -> None:
        """Empty, foreign, broken and self-referring files are ConfigErrors with a place."""
        assert any(line.startswith(problem) for line in refused(text)), refused(text)

    def test_tabs_are_explained(self) -> None:
        """The commonest mistake of indentation has its own hint."""
        assert "indent with spaces, not tabs" in refused("services:\n\ta: 1")[0]

    def test_an_unquoted_reference_in_braces_is_explained(self) -> None:
        """YAML's own message would not help."""
        assert "into quotes" in refused("services: {a: {probe: {kind: http, url: ${X}}}}")[0]

    @pytest.mark.parametrize("joint", ["[{0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}]", "{{<<: [{0}, {0}, {0}, {0}, {0}]}}"])
    def test_aliases_cannot_multiply_without_bound(self, joint: str) -> None:
        """A billion laughs end in a problem, quickly."""
        layers = ["l0: &l0 {probe: {kind: tcp, host: h, port: 1}}"]
        layers += [f"l{n}: &l{n} {joint.format(f'*l{n - 1}')}" for n in range(1, 12)]
        laughs = "\n".join(f"x-{layer}" for layer in layers)
        started = time.monotonic()
        refused(f"{laughs}\nservices: {{a: *l11, b: {{depends_on: *l11, <<: *l11}}}}")
        assert time.monotonic() - started < 10

    @pytest.mark.parametrize(
        ("edges", "circle"),
        [
            ({"a": ["a"]}, "a -> a"),
            ({"a": ["b"], "b": ["a"]}, "a -> b -> a"),
            ({"a": ["b"], "b": ["c"], "c": ["d"], "d": ["b"]}, "b -> c -> d -> b"),
        ],
    )
    def test_a_circle_of_dependencies_is_shown(self, edges: dict[str, list[str]], circle: str) -> None:
        """Services that depend on each other are named in their order."""
        probe = "probe: {kind: tcp, host: h, port: 1}"
        text = "services:\n" + "\n".join(
            f"  {name}: {{{probe}, depends_on: [{', '.join(below)}]}}" for name, below in edges.items()
        )
        [line] = refused(text)
        assert line.endswith(f"services depend on each other in a circle: {circle}")

    def test_dependencies_that_only_meet_again_are_no_circle(self) -> None:
        """A diamond is allowed."""
        probe = "probe: {kind: tcp, host: h, port: 1}"
        edges = {"a": "[b, c]", "b": "[d]", "c": "[d]", "d": "[]"}
        parse("services:\n" + "\n".join(f"  {n}: {{{probe}, depends_on: {below}}}" for n, below in edges.items()))

    def test_a_service_that_cannot_be_read_still_exists(self) -> None:
        """One mistake does not make others of what is right."""
        text = """\
services:
  a: {probe: {kind: nonsense}}
  b: {probe: {kind: tcp, host: h, port: 1}, depends_on: [a]}
features: {f: {requires: [a]}}
"""
        assert len(refused(text)) == 1


class TestSecrets:
    SECRET = "correct-horse-battery"

    @pytest.mark.parametrize(
        "text",
        [
            "services: {a: {probe: {kind: http, url: 'ftp://u:correct-horse-battery@h'}}}",
            "services: {a: {probe: {kind: http, url: 'http://u:correct-horse-battery@h:99999'}}}",
            "services: {a: {probe: {kind: http, url: 'correct-horse-battery'}}}",
            "services: {a: {probe: {kind: http, url: 'http://h/ correct-horse-battery'}}}",
            "services: {a: {probe: {kind: llm_api, url: 'http://h', api_key: [correct-horse-battery]}}}",
            "services: {a: {probe: {kind: llm_api, url: 'http://h', api_key: 'correct-horse-battery}}}",
            "services: {a: {probe: {kind: tcp, host: h, port: '${SECRET}'}}}",
            "services: {a: {criticality: '${SECRET}', probe: {kind: tcp, host: h, port: 1}}}",
            "services: {a: {interval: '${SECRET}', probe: {kind: tcp, host: h, port: 1}}}",
            "services: {a: {probe: {kind: '${SECRET}'}}}",
        ],
    )
    def test_no_secret_is_repeated_in_an_error(self, text: str) -> None:
        """Neither a URL, nor the quoted line, nor what a variable holds."""
        assert not [line for line in refused(text, {"SECRET": self.SECRET}) if self.SECRET in line]

    def test_an_api_key_may_be_left_empty(self) -> None:
        """A key that is not set is the probe's business, not the file's."""
        settings = parse("services: {a: {probe: {kind: llm_api, url: 'http://h', api_key: '${KEY:-}'}}}")
        assert settings.services["a"].probe == LlmApiProbe(url="http://h")


class TestFiles:
    def test_a_file_is_loaded(self, tmp_path: Path) -> None:
        """A byte order mark and a foreign title do no harm."""
        path = tmp_path / "services.yaml"
        path.write_bytes(
            b"\xef\xbb\xbf" + SMALLEST.encode() + "features: {f: {title: Übersicht, requires: [a]}}".encode()
        )
        assert load_settings(path, {}).features["f"].title == "Übersicht"

    def test_what_cannot_be_read_is_refused(self, tmp_path: Path) -> None:
        """A missing file, a directory, other encodings and giants are ConfigErrors that say so."""
        latin, giant = tmp_path / "latin.yaml", tmp_path / "giant.yaml"
        latin.write_bytes(SMALLEST.encode() + "# caf\xe9".encode("latin-1"))
        giant.write_bytes(b"# " + b"x" * MAX_BYTES)
        for path, message in [
            (tmp_path / "none.yaml", "cannot be read: No such file or directory"),
            (tmp_path, "cannot be read: Is a directory"),
            (latin, ":2:6: not UTF-8 (save the file as UTF-8)"),
            (giant, "larger than 512 KiB"),
        ]:
            with pytest.raises(ConfigError) as caught:
                load_settings(path, {})
            assert message in str(caught.value)


class TestNumbers:
    @pytest.mark.parametrize(("text", "expected"), [("0.25", 0.25), ("1", 1.0), ("+0.5", 0.5)])
    def test_a_part_is_read(self, text: str, expected: float) -> None:
        """Decimal numbers are read as they are written."""
        assert parse(service(f"degraded_rate: {text}")).services["a"].degraded_rate == expected

    @pytest.mark.parametrize("text", ["0", "1.01", "-0.5", "40%", "nan", "inf", "1e-3", ".5", "true"])
    def test_what_is_no_part_is_refused(self, text: str) -> None:
        """Outside the limits, or no number at all: the limits are named."""
        [line] = refused(service(f"degraded_rate: {text}"))
        assert "services.a.degraded_rate" in line
        assert "a number above 0, up to 1" in line

    def test_a_rate_has_no_upper_limit(self) -> None:
        """A limit that does not exist is not named."""
        assert parse(SMALLEST + "worker: {host_rate: 0.5}").worker.host_rate == 0.5
        [line] = refused(SMALLEST + "worker: {host_rate: 0}")
        assert line.endswith("a number above 0")

    def test_every_default_can_be_written_into_a_file(self) -> None:
        """No setting has a type that files cannot hold."""
        settings = parse(SMALLEST)
        for section in ("redis", "feed", "worker", "node", "gate", "breaker"):
            values = msgspec.to_builtins(getattr(settings, section), enc_hook=float)
            text = yaml.safe_dump({section: {name: _written(value) for name, value in values.items() if value != ""}})
            assert getattr(parse(SMALLEST + text), section) == getattr(settings, section)
        each = msgspec.to_builtins(settings.services["a"], enc_hook=float)
        lines = {name: _written(value) for name, value in each.items() if value not in ("", None)}
        assert parse(yaml.safe_dump({"services": {"a": lines}})).services == settings.services


def _written(value: object) -> object:
    return int(value) if isinstance(value, float) and value == int(value) else value
