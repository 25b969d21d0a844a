"""What tests of the compiler share."""

from collections.abc import Iterator

import pytest

from minicnn.compiler import threads


@pytest.fixture(autouse=True)
def _count_of_threads() -> Iterator[None]:
    """Each test begins with as many threads as there were before it."""
    before = threads.count()
    yield
    threads.set_count(before)
