"""A fixture that tests of the compiler share."""

from collections.abc import Iterator

import pytest

from minicnn.compiler import threads


@pytest.fixture(autouse=True)
def _count_of_threads() -> Iterator[None]:
    """Restore the number of threads after each test."""
    before = threads.count()
    yield
    threads.set_count(before)
