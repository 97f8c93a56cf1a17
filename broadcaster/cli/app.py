"""The commands and where they live. Each is imported only when it is run."""

from __future__ import annotations

from collections.abc import Sequence

from cyclopts import App

from broadcaster.cli.version import version

COMMANDS = {
    "up": ("broadcaster.cli.up:up", "Run everything on this machine: Redis, probes, node, and sample services."),
    "probe": ("broadcaster.cli.probe:probe", "Watch the services and publish what changes (the worker)."),
    "serve": ("broadcaster.cli.serve:serve", "Serve WebSocket users and health pages (the node)."),
    "status": ("broadcaster.cli.status:status", "Show what is known of every service now."),
    "tail": ("broadcaster.cli.tail:tail", "Follow what changes, as it happens."),
    "plans": ("broadcaster.cli.plans:plans", "Show planned work and overrides."),
    "matrix": ("broadcaster.cli.matrix:matrix", "Print what each service's failure costs, as Markdown."),
    "check": ("broadcaster.cli.check:check", "Run each probe once, now, and show what came back."),
}

CONFIG_COMMANDS = {
    "validate": ("broadcaster.cli.config:validate", "Check services.yaml and say what it means."),
    "schema": ("broadcaster.cli.config:schema", "Print the JSON Schema of services.yaml, for editors."),
    "init": ("broadcaster.cli.config:init", "Write a commented starter file."),
}

MAINTENANCE_COMMANDS = {
    "start": ("broadcaster.cli.plans:start", "Announce planned work on services, from now or later."),
    "end": ("broadcaster.cli.plans:finish", "End planned work before its time."),
}

OVERRIDE_COMMANDS = {
    "set": ("broadcaster.cli.plans:override", "Say what a service is, whatever its probes see."),
    "clear": ("broadcaster.cli.plans:clear", "Go by the probes again."),
}

GROUPS = {
    "maintenance": ("Planned work: told to users, and what explains failures meanwhile.", MAINTENANCE_COMMANDS),
    "override": ("Tell something else of a service than its probes see, for a time.", OVERRIDE_COMMANDS),
    "config": ("Check, describe or begin a services.yaml.", CONFIG_COMMANDS),
}


def make_app() -> App:
    """The command line: names, help and parsing; nothing runs yet."""
    app = App(
        name="broadcaster",
        help="Tells every node, user and operator within seconds when a service fails, degrades or recovers.",
        version=version,
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    for name, (where, text) in COMMANDS.items():
        app.command(where, name=name, help=text)
    for group, (about, commands) in GROUPS.items():
        its = App(name=group, help=about, result_action="return_value")
        for name, (where, text) in commands.items():
            its.command(where, name=name, help=text)
        app.command(its)
    return app


def run(tokens: Sequence[str]) -> int:
    """Runs one command and returns its exit code. Raises SystemExit(2) for a usage error."""
    code = make_app()(list(tokens))
    return code if isinstance(code, int) else 0
