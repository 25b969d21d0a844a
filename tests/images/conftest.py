"""A folder of photos, and pipes that end, so that code that opens one does not hang."""

import pytest
from photos import write_photos


@pytest.fixture(autouse=True)
def _pipes_end(pipes_end):
    pass


@pytest.fixture
def photos(tmp_path):
    return write_photos(tmp_path / "photos")
