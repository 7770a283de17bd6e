"""Options of thousands of runs on a command line, of which Linux takes 128 KiB in one piece."""

import argparse
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ballast.study.arguments import LONG, PACKED, as_arguments, as_pairs, packed, unpacked

STAGE = Path(__file__).parents[2] / "scripts/stage.py"


@given(st.text(max_size=50), st.integers(0, 3))
def test_what_is_packed_comes_back(text, times):
    whole = text * (times * LONG // 10 + 1)
    assert unpacked(packed(whole)) == whole


def test_a_short_text_stays_as_it_is():
    assert packed("{}") == "{}" and not packed("x" * LONG).startswith(PACKED)


@example("-n")
@example("--key")
@example("$(touch x)")
@given(st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), min_size=1, max_size=50))
def test_whatever_a_value_holds_it_is_one_word_of_the_shell(text):
    parser = argparse.ArgumentParser()
    parser.add_argument("--key")
    assert parser.parse_args(shlex.split(as_arguments({"key": text, "none": None}))).key == text
    assert shlex.split(as_pairs({text: text})) == [f"{text}={text}"]


RULE = """
from ballast.running.inside_snakemake import InsideSnakemake
shell.prefix(InsideSnakemake(workflow).shell_prefix().replace(f"{workflow.basedir}/scripts", "%s"))
rule scores:
    params: options=open("options.json").read()
    output: "scores.parquet"
    shell: "stage scores --results . --options {params.options:q} --out {output:q} > said 2>&1"
"""


@pytest.mark.slow
@pytest.mark.parametrize("trials", [10, 200])
def test_a_job_starts_whose_options_are_longer_than_a_command_line(tmp_path, trials):
    runs = {f"llama-2-7b/safety/sss-b/n{n}/t{trial}": ["harm"] for n in range(400) for trial in range(trials)}
    options = json.dumps({"runs": runs, "metrics": {"harm": {"benchmark": "it's $b", "judge": "j"}}})
    assert len(options) > (2**21 if trials > 100 else 2**17)
    (tmp_path / "options.json").write_text(options)
    (tmp_path / "Snakefile").write_text(RULE % STAGE.parent)
    environment = os.environ | {"PYTHONPATH": str(STAGE.parent)}
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "1"], cwd=tmp_path, env=environment, capture_output=True
    )
    assert done.returncode == 1
    assert "runs/llama-2-7b/safety/sss-b/n0/t0/responses.parquet" in (tmp_path / "said").read_text(), done.stderr
