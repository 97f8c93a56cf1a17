"""The console script: one command run, every error that is meant for people turned into lines and an exit code.

Exit codes: 0 well, 1 error, 2 usage or config, 3 degraded, 4 a critical service down, 5 Redis unreachable,
130 Ctrl-C, 141 the reader of our output went away.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

ERROR, USAGE, UNREACHABLE, INTERRUPTED, NO_READER = 1, 2, 5, 130, 141


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command that ``arguments`` (or else ``sys.argv``) name, and exits with its code."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    if tokens == ["--version"]:
        # Asked for by scripts, so it must not wait for the imports that commands need.
        from broadcaster.cli.version import version

        sys.stdout.write(f"{version()}\n")
        raise SystemExit(0)
    raise SystemExit(_run(tokens))


def _run(tokens: list[str]) -> int:
    from broadcaster.cli.app import run
    from broadcaster.domain.errors import BroadcasterError, ConfigError, PlanError, StoreUnavailable

    try:
        code = run(tokens)
        sys.stdout.flush()
    except ConfigError as error:
        return _say(error.lines(), USAGE)
    except PlanError as error:
        return _say([str(error)], USAGE)
    except StoreUnavailable as error:
        return _say([str(error)], UNREACHABLE)
    except BroadcasterError as error:
        return _say([str(error)], ERROR)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Nobody reads any more. Python would flush standard output once more at its end and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NO_READER
    return code


def _say(lines: Sequence[str], code: int) -> int:
    for line in lines:
        sys.stderr.write(f"broadcaster: {line}\n")
    return code
