"""A folder of photos; and whoever opens a pipe reads its end."""

import pytest
from photos import write_photos


@pytest.fixture(autouse=True)
def _pipes_end(pipes_end):
    pass


@pytest.fixture
def photos(tmp_path):
    return write_photos(tmp_path / "photos")
