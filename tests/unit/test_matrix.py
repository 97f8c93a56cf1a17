"""The dependency matrix: worked out by the rules that judge handshakes, and documented for the sample."""

from __future__ import annotations

from pathlib import Path

import broadcaster.sample
from broadcaster.cli.matrix import lines
from broadcaster.config.loader import load_settings
from broadcaster.config.settings import FeatureSettings, ServiceSettings, Settings, TcpProbe
from broadcaster.domain.admission import Verdict
from broadcaster.domain.matrix import Consequence, matrix
from broadcaster.domain.model import Catalogue, Criticality, Feature, Service

DOCUMENT = Path(__file__).parents[2] / "docs" / "dependency-matrix.md"
SAMPLE = Path(broadcaster.sample.__file__).parent / "services.yaml"

OPTIONAL = Criticality.OPTIONAL
CATALOGUE = Catalogue(
    services={
        "db": Service(name="db"),
        "auth": Service(name="auth", depends_on=("db",)),
        "openai": Service(name="openai", criticality=OPTIONAL),
        "claude": Service(name="claude", criticality=OPTIONAL),
        "stats": Service(name="stats", criticality=OPTIONAL, depends_on=("auth",)),
        "spare": Service(name="spare", criticality=OPTIONAL),
    },
    features={
        "chat": Feature(name="chat", requires=("auth",)),
        "assistant": Feature(name="assistant", requires=("auth",), any_of=("openai", "claude")),
        "reports": Feature(name="reports", requires=("stats",)),
    },
)


def test_what_stands_on_a_service_goes_with_it() -> None:
    """Over whatever chain; and a feature that has another way is not lost."""
    found = {each.service: each for each in matrix(CATALOGUE)}
    assert list(found) == list(CATALOGUE.services)
    assert found["db"] == Consequence(
        service="db",
        criticality=Criticality.CRITICAL,
        takes=("auth", "stats"),
        verdict=Verdict.REJECT,
        unavailable=("chat", "assistant", "reports"),
        degraded=(),
    )
    assert found["openai"].unavailable == ()
    assert found["openai"].verdict is Verdict.ACCEPT_DEGRADED
    assert (found["stats"].takes, found["stats"].unavailable, found["stats"].degraded) == (
        (),
        ("reports",),
        ("reports",),
    )
    assert found["auth"].degraded == ("chat", "assistant")


def test_titles_do_not_break_the_table() -> None:
    probe = TcpProbe(host="127.0.0.1", port=1)
    settings = Settings(
        services={"a": ServiceSettings(probe=probe, title="A|B")},
        features={"f": FeatureSettings(title="One\nor two", requires=("a",))},
    )
    table = lines(settings)
    assert table[2].startswith("| A\\|B (`a`) | critical |  | refused")
    assert table[-1] == "| One or two (`f`) | `a` |  |"


def test_the_documented_matrix_is_the_sample_s() -> None:
    """``broadcaster matrix`` would print the document's tables."""
    printed = "\n".join(lines(load_settings(SAMPLE, {})))
    assert DOCUMENT.read_text().split("```\n\n")[-1].rstrip("\n") == printed
