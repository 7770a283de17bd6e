"""`snakemake adopt` on picked subsets: new code that makes the same is adopted, and other results stay pending.

The study needs no model: a person's own files, labelled by words.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers import edits, forked
from test_own_data import Own

from ballast.files import digest, read_json

pytestmark = pytest.mark.workflow
GIVEN = ("--configfile", "config/here.yaml")
PICKED = [
    f"results/mine/subsets/own/{sampler}/n{n}/t{t}.csv" for sampler in ("random", "t1") for n in (7, 14) for t in "01"
]
SCHEMAS, SAMPLER = "scripts/ballast/schemas.py", "scripts/ballast/samplers/random.py"


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A checkout in which eight subsets are picked."""
    folder = edits.checkout(tmp_path_factory.mktemp("adopt") / "study")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        own = Own(folder)
        own.settings(experiments={"sampling": {"samplers": ["none", "random", "t1"], "n": [7, 14], "trials": 2}})
    edits.snakemake(folder, *PICKED, *GIVEN)
    return folder


@pytest.fixture
def copy(finished, tmp_path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copy", symlinks=True))


def pending(folder: Path) -> dict[str, int]:
    return edits.pending(folder, *PICKED, *GIVEN)


def adopt(folder: Path, *given: str) -> subprocess.CompletedProcess:
    done = forked.run(folder, "adopt", *GIVEN, *given)
    assert "Traceback" not in done.stderr, done.stderr[-3000:]
    return done


def content(folder: Path) -> dict[str, str]:
    """Digests of all artefacts, without what says how they were made."""
    files = (path for path in (folder / "results").rglob("*") if path.is_file())
    kept = {path.relative_to(folder).as_posix(): path for path in files if not {"logs", "manifest"} & {*path.parts}}
    return {name: digest(path) for name, path in kept.items()}


def manifest(folder: Path) -> dict[str, dict]:
    return {str(path): read_json(path) for path in folder.glob("results/mine/manifest/**/*.json")}


def reported(said: str) -> dict[str, list[int]]:
    """The numbers of each stage: pending, checked, equal, adopted."""
    rows = re.findall(r"^ +(\d+) +(\d+) +(\d+) +(\d+)  (\w.*)$", said, re.MULTILINE)
    return {stage: [*map(int, numbers)] for *numbers, stage in rows}


def test_stages_that_new_code_makes_the_same_are_adopted(copy):
    before = content(copy)
    edits.edit(copy, SCHEMAS, "\n\n\n", "\n\nassert True\n\n\n")
    waiting = pending(copy)
    assert waiting["sample"] == 8 and waiting["data"] > 1
    done = adopt(copy, "--config", "adopt=2")
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    found = reported(done.stdout)
    assert found["sample samplers/random"] == [8, 2, 2, 8]
    assert sum(row[3] for row in found.values()) == sum(waiting.values())
    assert pending(copy) == {} and content(copy) == before
    row = read_json(copy / "results/mine/manifest/subsets/own/random/n7/t0.csv.json")
    [adopted] = row["adopted"]
    assert len(adopted["checked"]) == 2 and adopted["of"] == 8 and adopted["from"] != row["code"]
    done = forked.run(copy, "verify", *GIVEN)
    assert done.returncode == 0 and f"{len(before)} artefacts" in done.stdout
    taken = sum("adopted" in read_json(path) for path in copy.glob("results/mine/manifest/**/*.json"))
    assert taken == len(before) and f"{taken} of them were made by earlier code, and adopted" in done.stdout


def test_a_stage_that_new_code_makes_otherwise_is_left_as_it_was(copy):
    before, rows = content(copy), manifest(copy)
    edits.edit(copy, SAMPLER, "return first(", "pool = pool if n < 14 else pool.iloc[1:]\n    return first(")
    assert pending(copy) == {"sample": 8}
    done = adopt(copy, "--config", "adopt=20")
    assert done.returncode != 0
    refused = r"^ .* 0  sample samplers/random: refused\n    (\S+/n14/t\d.csv): line \d+; made again: (\S+)$"
    [[finished, again]] = re.findall(refused, done.stdout, re.MULTILINE)
    assert digest(copy / again) != digest(copy / finished) == before[finished]
    assert "the present code makes other results in 1 stages" in done.stderr
    assert pending(copy) == {"sample": 8}
    shutil.rmtree(copy / "results/mine/partial")
    assert content(copy) == before
    assert manifest(copy) == rows
