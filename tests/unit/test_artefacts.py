"""Declarations of tables and figures: read from their files, and a mistake in one is one clear line."""

import subprocess
import sys
from pathlib import Path

import pytest
from helpers import edits
from helpers.published import options as study_options

from ballast import identity, plugins
from ballast.files import BallastError
from ballast.study import artefacts, config

TABLE = 'EXPERIMENT = "sampling"\nMETRICS = ("harm",)\n\n\ndef table(options, paths): ...\n'


@pytest.fixture(scope="module")
def study():
    return config.load(config.read(edits.ROOT / "config/mini.yaml"))


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a file of a package folder that has no other table or figure."""
    monkeypatch.setattr(plugins, "HOME", tmp_path)
    monkeypatch.setattr(identity, "HOME", tmp_path)
    artefacts.artefact.cache_clear()
    identity._outline.cache_clear()

    def written(name: str, text: str) -> Path:
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        return file

    yield written
    artefacts.artefact.cache_clear()
    identity._outline.cache_clear()


def test_a_table_is_what_its_constants_say(write, study):
    write("tables/by_hand.py", TABLE + 'ONE = ("models",)\nKEYS = ("redact",)\nTARGETS = ("harm",)\n')
    assert artefacts.names("tables") == ["tables/by-hand"]
    assert artefacts.artefact("tables/by-hand") == artefacts.Artefact(
        "sampling", ("harm",), ("models",), ("redact",), ("harm",), ("scores",)
    )
    artefacts.check(study)
    part = artefacts.options_for("tables/by-hand", study_options() | {"redact": True, "targets": {"harm": 1, "asr": 2}})
    assert part["judges"] == {"harm": "harm-rm"} and part["redact"] and part["targets"] == {"harm": 1}


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("tables/mine.py", "def table(", "tables/mine.py: line 1: '(' was never closed"),
        ("tables/mine.py", TABLE.replace("table(", "tabel("), "tables/mine.py: it has no function table"),
        ("figures/mine.py", TABLE, "figures/mine.py: it has no function draw"),
        ("tables/mine.py", TABLE.replace('"sampling"', '("sampling",)'), "EXPERIMENT must be a name such as"),
        ("tables/mine.py", TABLE.replace('("harm",)', '"harm"'), "METRICS must be a tuple of names"),
        ("tables/mine.py", TABLE.replace('("harm",)', "(1,)"), "METRICS must be a tuple of names"),
        ("tables/mine.py", TABLE.replace('("harm",)', "tuple(NAMES)"), "METRICS must be written out"),
        ("tables/mine.py", TABLE.replace('"sampling"', '"samplign"'), "'samplign'; did you mean 'sampling'"),
        ("tables/mine.py", TABLE.replace('"harm"', '"harms"'), "METRICS: there is no 'harms'; did you mean 'harm'"),
        ("tables/mine.py", TABLE + 'ONE = ("model",)\n', "ONE: there is no 'model'; did you mean 'models'"),
        ("tables/mine.py", TABLE + 'KEYS = ("redacted",)\n', "KEYS: there is no 'redacted'; did you mean 'redact'"),
        ("tables/mine.py", TABLE + 'READS = ("label",)\n', "READS: there is no 'label'; did you mean 'labels'"),
        ("tables/mine.py", TABLE + 'TARGETS = ("harms",)\n', "TARGETS: there is no 'harms'; did you mean 'harm'"),
        ("tables/mine.py", TABLE.partition("\n")[2], "METRICS are those of an experiment; name it"),
        ("tables/mine.py", "def table(options, paths): ...\n", "it reads scores but names no METRICS"),
        ("tables/Mine.py", TABLE, "tables/Mine.py: name the file in small letters, digits and _"),
        ("figures/advice.py", TABLE, "figures/advice.py: another rule draws figures/advice"),
    ],
)
def test_a_mistake_in_a_file_is_one_clear_line(write, study, file, text, message):
    write(file, text)
    with pytest.raises(BallastError) as error:
        artefacts.check(study)
    assert str(error.value).startswith(f"scripts/ballast/{file}: ") and message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_name_that_is_none_says_the_nearest():
    with pytest.raises(BallastError, match="no artefact is called 'tables/tabel1'; did you mean 'tables/table1'"):
        artefacts.artefact("tables/tabel1")


def test_a_study_has_the_artefacts_of_its_experiments(study):
    artefacts.check(study)
    asked = {"gsm8k": {"judge": "exact-match"}}
    there = [name for name in artefacts.names("tables") if artefacts.available(study, name, {})]
    assert there == [
        f"tables/{name}"
        for name in ("budget", "categories", "contrasts", "scores", *(f"table{n}" for n in range(1, 6)), "tags")
    ]
    assert not artefacts.available(study, "tables/pairwise", asked)
    assert not artefacts.available(study, "spent", {}) and artefacts.available(study, "headline", {})
    assert artefacts.names("comparison") == ["comparison-1", "comparison-2", "comparison-4"]


def test_a_new_or_edited_table_changes_no_other_identity(tmp_path):
    folder = edits.checkout(tmp_path)
    say = (
        "import sys; sys.path.insert(0, 'scripts')\n"
        "from ballast.identity import code_identity\n"
        "from ballast.study import artefacts\n"
        "for kind, stage in (('tables', 'table'), ('figures', 'figure')):\n"
        "    for name in artefacts.names(kind):\n"
        "        print(name, code_identity(stage, name))\n"
    )

    def said() -> dict[str, str]:
        done = subprocess.run([sys.executable, "-c", say], cwd=folder, capture_output=True, text=True, check=True)
        return dict(line.split() for line in done.stdout.splitlines())

    before = said()
    assert len(set(before.values())) == len(before), "each has an identity of its own"
    (folder / "scripts/ballast/tables/mine.py").write_text(TABLE)
    after = said()
    assert after.pop("tables/mine") and after == before
    edits.edit(folder, "scripts/ballast/tables/table1.py", "safety examples", "examples")
    assert {name for name, code in said().items() if before.get(name, code) != code} == {"tables/table1"}
