"""Options of thousands of runs on a command line, of which Linux takes 128 KiB in one piece."""

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path

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


def test_a_job_of_thousands_of_runs_starts(tmp_path):
    runs = {f"llama-2-7b/safety/sss-b/n{n}/t{trial}": ["harm"] for n in range(400) for trial in range(10)}
    options = json.dumps({"runs": runs, "metrics": {"harm": {"benchmark": "b", "judge": "j"}}})
    assert len(options) > 128 * 1024
    words = ["--results", str(tmp_path), "--options", packed(options), "--out", str(tmp_path / "scores.parquet")]
    command = shlex.join([sys.executable, str(STAGE), "scores", *words])
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert done.returncode == 1 and "runs/llama-2-7b/safety/sss-b/n0/t0/responses.parquet" in done.stderr
