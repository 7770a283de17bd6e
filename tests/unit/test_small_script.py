"""`make small` takes the data that is at hand, and nothing where its model is not to be had."""

import pytest

import small
from ballast.data import packages


@pytest.fixture
def at_hand(monkeypatch, tmp_path):
    """Say which of package, real files and hub are there."""

    def there(package: bool = True, data: bool = False, hub: bool = False, slow: bool = False) -> None:
        monkeypatch.setattr(packages, "kept", lambda source: tmp_path / "none.whl")
        monkeypatch.setattr(packages, "versions", lambda package_: ["0.1.2"] if package else [])
        monkeypatch.setattr(small, "hub_answers", lambda: hub)
        monkeypatch.setattr(small, "slow_here", lambda dtype: "slow" if slow else None)
        if data:
            (tmp_path / "MANIFEST.md").touch()
        monkeypatch.setenv("BALLAST_DATA", str(tmp_path))

    return there


@pytest.mark.parametrize(
    ("given", "study", "files"),
    [
        ({"data": True, "hub": True}, "small-mix", "config/small-mix.yaml config/local.yaml"),
        ({"hub": True}, "small", "config/small.yaml"),
        ({"hub": True, "slow": True}, "small", "config/small.yaml config/float32.yaml"),
        ({}, "small", "config/small-world.yaml"),
        ({}, "small-mix", ""),
        ({"package": False, "data": True}, "small", ""),
    ],
)
def test_the_files_are_those_of_the_data_at_hand(at_hand, capsys, given, study, files):
    at_hand(**given)
    small.main(study)
    said = capsys.readouterr()
    assert said.out.strip() == files and said.err.count("\n") == 1
    assert said.err.startswith("skipped: ") == (files == "")
