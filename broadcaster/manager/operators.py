"""Who is an operator, and may see what users may not."""

from __future__ import annotations

import hmac


def is_operator(authorization: str, operator_token: str) -> bool:
    """Whether an ``Authorization`` header (its bytes as Latin-1) proves an operator; without a token nobody is one."""
    scheme, _, given = authorization.partition(" ")
    return (
        bool(operator_token)
        and scheme.lower() == "bearer"
        and hmac.compare_digest(given.strip().encode("latin-1", "replace"), operator_token.encode())
    )
