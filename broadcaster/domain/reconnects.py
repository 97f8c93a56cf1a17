"""When clients are told to come back, so that neither an outage's end nor a deploy brings all of them at once. Pure.

Times are seconds; ``chance`` is a number from 0 to 1, drawn for each client (or for each of many prepared answers).
"""

from __future__ import annotations


def after_rejection(chance: float, *, outage: float, least: float, most: float) -> float:
    """How long a client waits that was refused after ``outage`` seconds of it.

    ``least``, and beyond it evenly spread over half of the outage's age (at least ``least``, at most ``most``):
    the longer it lasts the wider clients are spread, so that they neither hammer the node nor all arrive in the second
    of its end; and nobody waits much longer than the outage took. (Full jitter over a growing window, as in M. Brooker,
    "Exponential Backoff And Jitter", AWS Architecture Blog, 2015; but by the outage's age, which the server knows, and
    not by a client's attempts, which it does not.)
    """
    window = min(most, max(least, outage / 2))
    return least + chance * window


def after_goodbye(chance: float, *, clients: int, least: float, rate: float) -> float:
    """How long a client waits that is sent away together with ``clients`` others.

    Spread so that no more than about ``rate`` a second come to the nodes that stay, over ``least`` seconds in any case.
    """
    window = max(least, clients / rate)
    return window * (0.2 + 0.8 * chance)
