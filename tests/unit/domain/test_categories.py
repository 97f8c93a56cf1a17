"""Which failures are certain at once, and which deserve a second attempt."""

from __future__ import annotations

import pytest

from broadcaster.domain.model import Category

DEFINITIVE = {"refused", "dns", "tls", "auth", "misconfigured"}


@pytest.mark.parametrize("category", Category)
def test_what_is_definitive(category: Category) -> None:
    """A "no" that somebody said is definitive; silence, half an answer and trouble that may pass are not."""
    assert category.is_definitive is (category.value in DEFINITIVE)
