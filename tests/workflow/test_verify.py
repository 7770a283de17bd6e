"""`snakemake verify` on a finished study: every artefact has a row, damage is found, and the repairs repair."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers import edits, forked

pytestmark = pytest.mark.workflow
ADAPTER = "results/small/runs/llama/safety/sss/n7/t0/adapter_model.safetensors"


def verify(folder: Path) -> subprocess.CompletedProcess:
    return forked.run(folder, "verify", "--configfile", edits.SMALL)


def test_every_artefact_of_a_finished_study_is_what_its_row_says(finished):
    done = verify(finished)
    others = {"logs", "benchmarks", "store", "manifest", "settled.txt"}
    made = [
        path
        for folder in (finished / "results/small", finished / "results/worlds/small")
        for path in folder.rglob("*")
        if path.is_file() and path.relative_to(folder).parts[0] not in others
    ]
    assert done.returncode == 0, done.stdout[-2000:]
    assert re.search(rf"^{len(made)} artefacts, \d+ MB: each is what its manifest row says$", done.stdout, re.MULTILINE)


@pytest.mark.release
def test_the_repairs_repair_to_the_same_bytes(finished, tmp_path):
    copy = Path(shutil.copytree(finished, tmp_path / "copy", symlinks=True))
    times, content = os.stat(copy / ADAPTER), bytearray((copy / ADAPTER).read_bytes())
    content[-3] ^= 1
    (copy / ADAPTER).write_bytes(content)
    os.utime(copy / ADAPTER, ns=(times.st_atime_ns, times.st_mtime_ns))
    os.truncate(copy / "results/worlds/small/data/base.json", 1000)
    (copy / "results/small/tables/table1.tex").unlink()
    done = verify(copy)
    assert done.returncode != 0 and "Traceback" not in done.stderr
    found = re.findall(r"^(results\S+): (\w+).*; made by rule (\w+)$", done.stdout, re.MULTILINE)
    assert found == [
        ("results/worlds/small/data/base.json", "torn", "world_data"),
        (ADAPTER, "changed", "train"),
        ("results/small/tables/table1.tex", "missing", "table"),
    ]
    environment = os.environ | {"PATH": f"{edits.SNAKEMAKE.parent}:{os.environ['PATH']}"}
    for repair in re.findall(r"^ +repair: (.*)$", done.stdout, re.MULTILINE):
        subprocess.run(repair, shell=True, cwd=copy, env=environment, check=True, capture_output=True)
    assert verify(copy).returncode == 0
    for path, _, _ in found:
        assert (copy / path).read_bytes() == (finished / path).read_bytes()
    assert edits.pending(copy, "--configfile", edits.SMALL) == {}
