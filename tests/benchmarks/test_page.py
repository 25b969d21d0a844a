"""The benchmark of the page opens it, and lets it learn."""

import shutil

import pytest

from benchmarks import page


@pytest.mark.slow
def test_the_page_is_measured(tmp_path, monkeypatch, capsys) -> None:
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not (shutil.which("chromium") or shutil.which("chromium-browser")):
        pytest.skip("there is no chromium on this machine")
    file = tmp_path / "page.json"
    assert page.run(["--steps", "2", "--views", "1", "--json", str(file)]) == 0
    assert '"steps": [' in file.read_text()
    printed = capsys.readouterr().out
    assert "a step, for each photo" in printed
    megabytes = float(printed.split("size")[1].split("MB")[0])
    assert 1 < megabytes < 3  # so that it can be sent
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert page.run([]) == 2
    assert "no chromium" in capsys.readouterr().err
