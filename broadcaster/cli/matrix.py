"""``broadcaster matrix``: what each service's failure costs, for the documentation of an application."""

from __future__ import annotations

from collections.abc import Iterable

from broadcaster.cli.options import ConfigPath, OutputFormat, find_settings
from broadcaster.cli.output import put, put_json
from broadcaster.config.settings import Settings
from broadcaster.domain.admission import Verdict
from broadcaster.domain.matrix import Consequence
from broadcaster.domain.matrix import matrix as consequences
from broadcaster.domain.model import Catalogue

HEADER = (
    "service",
    "criticality",
    "takes along",
    "a handshake meanwhile",
    "unavailable",
    "limited while it is degraded",
)

HANDSHAKES = {
    Verdict.REJECT: "refused: explained, then close 1011",
    Verdict.ACCEPT_DEGRADED: "accepted, with what is missing named",
    Verdict.ACCEPT: "accepted",
}


def matrix(*, config: ConfigPath = None, output: OutputFormat = "text") -> int:
    """Print what happens when each service is down, as a table in Markdown: to be kept with your documentation."""
    settings = find_settings(config)
    if output == "json":
        for each in consequences(settings.catalogue()):
            put_json(each)
    else:
        put(*lines(settings))
    return 0


def lines(settings: Settings) -> list[str]:
    """The table, and below it which features stand on what."""
    catalogue = settings.catalogue()
    found = [_row(HEADER), _row("---" for _ in HEADER)]
    found += [_row(_cells(catalogue, each)) for each in consequences(catalogue)]
    if catalogue.features:
        found += ["", _row(("feature", "needs all of", "and one of")), _row(("---",) * 3)]
        for name, each in catalogue.features.items():
            found.append(_row((_named(each.title, name), _code(each.requires), _code(each.any_of))))
    return found


def _cells(catalogue: Catalogue, each: Consequence) -> tuple[str, ...]:
    titles = {name: feature.title or name for name, feature in catalogue.features.items()}
    return (
        _named(catalogue.services[each.service].title, each.service),
        each.criticality.value,
        _code(each.takes),
        HANDSHAKES[each.verdict],
        ", ".join(_text(titles[name]) for name in each.unavailable),
        ", ".join(_text(titles[name]) for name in each.degraded),
    )


def _named(title: str, name: str) -> str:
    return f"`{name}`" if title in ("", name) else f"{_text(title)} (`{name}`)"


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _text(text: str) -> str:
    """In a cell of Markdown a bar would begin the next."""
    return text.replace("|", "\\|").replace("\n", " ")


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
