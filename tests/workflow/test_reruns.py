"""What an edit re-runs: exact sets of jobs, by real edits in a copy of the checkout that has run once.

A dry run shows what is pending; where the barrier decides (a sampler that picks the same again), Snakemake really runs
and the jobs that started are counted.
"""

import json
import os
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import yaml
from helpers import edits
from helpers.edits import DOCUMENTS, edit

pytestmark = pytest.mark.workflow
CONFIG = edits.SMALL
RUNS = 7  # none once; random, sss and t1 at two sizes
# What shows scores; Table 3 and Figure 5 show the pool.
SHOWN = {"scores": 5, "table": 6, "figure": 6, "comparison": 2} | DOCUMENTS
# What says how the study is made, and counts its jobs.
SAID = {"about": 1, "cost": 1}


def pending(folder: Path, *arguments: str) -> dict[str, int]:
    return edits.pending(folder, "--configfile", CONFIG, *arguments)


def snakemake(folder: Path, *targets: str) -> str:
    return edits.snakemake(folder, *targets, "--configfile", CONFIG)


def ran(folder: Path, *targets: str) -> dict[str, int]:
    """Jobs by rule that a real invocation finishes, but for the target and the barrier."""
    names = re.findall(r"^Finished jobid: \d+ \(Rule: (\w+)\)$", snakemake(folder, *targets), re.MULTILINE)
    return dict(Counter(name for name in names if name not in ("all", "settle")))


@pytest.fixture
def copy(finished, tmp_path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copy", symlinks=True))


def test_a_second_run_has_nothing_to_do(finished):
    assert "Nothing to be done" in snakemake(finished)


def test_what_changes_no_result_re_runs_nothing(copy):
    """Keys in another order, a sampler that no experiment names, remarks, resources, threads and time stamps."""
    for file in (copy / CONFIG, copy / "config/mini.yaml"):
        file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()), sort_keys=file.name == "mini.yaml"))
    edit(copy, "scripts/ballast/samplers/pss.py", "\ndef select(", "\nassert True\n\n\ndef select(")
    for file in (copy / "scripts").rglob("*.py"):
        file.write_text("# A remark.\n" + file.read_text() + "\n\n# Another.\n")
    edit(copy, "scripts/ballast/samplers/sss.py", '"""', '"""Said anew. ')
    for file in [*(copy / "workflow").rglob("*.smk"), *(copy / "config").glob("*.yaml")]:
        file.write_text(re.sub(r"mem_mb=\d+", "mem_mb=777", file.read_text()) + "\n# A remark.\n")
    files = sorted(path for path in copy.rglob("*") if path.is_file() and ".snakemake" not in path.parts)
    for number, file in enumerate(files):
        os.utime(file, (2_000_000_000 - number, 2_000_000_000 - number))
    assert pending(copy, "--set-resources", "train:runtime=9", "--set-threads", "train=2") == {}


def test_results_move_to_another_clone_with_their_record(finished, tmp_path):
    # What a person copies to go on elsewhere, where everything else is fresh: new time stamps, another path.
    moved = tmp_path / "another place"
    made = {str(finished): {"results", ".snakemake"}}
    shutil.copytree(finished, moved, ignore=lambda folder, _: made.get(folder, ()), copy_function=shutil.copy)
    for name in ("results", ".snakemake/metadata"):
        shutil.copytree(finished / name, moved / name, copy_function=shutil.copy)
    assert pending(moved) == {}


def test_what_is_made_again_as_it_was_ends_at_the_barrier(copy):
    """A sampler and labels edited, and the same base data out of another file: no training."""
    edit(copy, "scripts/ballast/samplers/sss.py", "\ndef select(", "\nassert True\n\n\ndef select(")
    edit(copy, "scripts/ballast/labels/behaviour.py", "\n\n\n", "\n\nassert True\n\n\n")
    rows = json.loads((copy / "results/worlds/small/data/base.json").read_text())
    (copy / "mine.json").write_text(json.dumps(rows, indent=1))
    edit(copy, CONFIG, "as_is: []", "as_is: []\nbase: {world: null, path: mine.json}")
    # Of the samplers t1 alone reads behaviour, and sss was edited: both draw twice. One of the signatures of trouble
    # runs the code of the labels. The bill counts rows by the file's form, which is told by its content now.
    assert ran(copy) == {"sample": 2 + 2, "behaviour": 1, "trouble": 1, "data": 1, "pages": 1} | SAID
    assert pending(copy) == {}
    rows[0]["output"] += " And more."
    (copy / "mine.json").write_text(json.dumps(rows))
    trained = {"data": 1, "train": RUNS, "generate": RUNS, "judge": 4 * RUNS, "cost": 1}
    assert pending(copy) == trained | SHOWN, "another row is all that trains on it"


def subsets(folder: Path) -> dict[str, str]:
    """The text of each subset's ids, by its path."""
    found = (folder / "results/small/subsets").rglob("*.csv")
    return {path.relative_to(folder).as_posix(): path.read_text() for path in found}


@pytest.mark.release
def test_training_reads_the_rows_that_are_picked_and_no_others_of_the_pool(copy):
    pool = pd.read_parquet(copy / "results/small/data/pools/safety.parquet").set_index("id", drop=False)
    before, own = subsets(copy), "results/small/subsets/safety/random/n14/t0.csv"
    [unpicked, *_] = (row for row in pool["id"] if not any(row in text for text in before.values()))
    # A sampler of the other size, or another sampler, does not pick it too.
    [picked, *_] = (row for row in pool["id"] if [path for path, text in before.items() if row in text] == [own])
    edit(copy, CONFIG, "as_is: []", "as_is: []\npools: {safety: {world: null, path: mine.json}}")

    def write(texts: pd.DataFrame) -> None:
        (copy / "mine.json").write_text(texts.drop(columns="id").to_json(orient="records"))

    # Another order, one row more, and another text of a row that nothing picks.
    edited = pool.copy()
    edited.loc[unpicked, "output"] += " And more."
    edited.loc["one more"] = edited.loc[unpicked] + " Again."
    write(edited[::-1])
    made = ran(copy)
    assert subsets(copy) == before, "the edit is of other rows than those that are picked"
    read = {"data": 1, "behaviour": 1, "category": 1, "sample": RUNS}
    assert made == read | {"table": 1, "figure": 1, "trouble": 1, "pages": 1} | SAID
    assert pending(copy) == {}
    edited.loc[picked, "output"] += " And more."
    write(edited[::-1])
    made = ran(copy, "results/small/scores.parquet")
    changed = {path for path, text in subsets(copy).items() if text != before[path]}
    assert own in changed and len(changed) < RUNS
    assert (made["train"], made["generate"], made["judge"]) == (len(changed), len(changed), 4 * len(changed))


def test_a_sampler_that_picks_otherwise_and_one_trial_more_are_the_subsets_that_differ_and_its_runs(copy):
    edit(copy, CONFIG, "samplers: [none, random, sss, t1]", "samplers: [random, sss]")
    edit(copy, CONFIG, "trials: 1", "trials: 2")
    edit(copy, "scripts/ballast/samplers/sss.py", "order, n)", "order if n < 14 else order[::-1], n)")
    # The edited sampler draws again at both sizes, and one of them differs; the new trial is four runs.
    trained = 1 + 4
    made = {"sample": 2 + 4, "train": trained, "generate": trained, "judge": 4 * trained}
    assert ran(copy, "results/small/scores.parquet") == made | {"scores": 1}
    assert pending(copy) == SHOWN | {"scores": 4} | SAID


def test_one_size_or_one_trial_more_is_only_its_runs(copy):
    edit(copy, CONFIG, "n: [7, 14]", "n: [7, 14, 21]")
    assert pending(copy) == {"sample": 3, "train": 3, "generate": 3, "judge": 12} | SHOWN | SAID
    edit(copy, CONFIG, "n: [7, 14, 21]\n    trials: 1", "n: [7, 14]\n    trials: 2")
    assert pending(copy) == {"sample": 7, "train": 7, "generate": 7, "judge": 28} | SHOWN | SAID


def test_another_judge_template_is_that_judge_and_what_shows_it(copy):
    template = (copy / "scripts/ballast/judges/md_judge.json").read_text()
    (copy / "mine.json").write_text(template.replace("\\n", "\\n\\n", 1))
    edit(copy, CONFIG, "as_is: []", "as_is: []\njudges: {md-judge: {template: mine.json}}")
    # Of the tables: 2, contrasts, budget and scores.
    shown = SHOWN | {"scores": 2, "table": 4, "figure": 1, "comparison": 1}
    assert pending(copy) == {"judge": RUNS, "about": 1} | shown


def test_another_decoding_is_generation_onwards(copy):
    edit(copy, CONFIG, "as_is: []", "as_is: []\ngeneration: {max_new_tokens: 23}")
    assert pending(copy) == {"generate": RUNS, "judge": 4 * RUNS} | SHOWN | SAID


def test_another_plot_style_is_figures_and_the_page_with_their_colours_only(copy):
    edit(copy, "scripts/ballast/results/style.py", "\n\n\n", "\n\nassert True\n\n\n")
    assert pending(copy) == {"figure": 7, "advice": 1, "explore": 1, "pages": 1}


def test_another_style_of_the_page_is_the_page_only(copy):
    edit(copy, "scripts/ballast/explore/page/explore.css", "font-size: 11px", "font-size: 12px")
    assert pending(copy) == {"explore": 1}


def test_a_new_table_is_itself_the_pages_and_the_count_of_jobs(copy):
    table = copy / "scripts/ballast/tables/mine.py"
    table.write_text((copy / "scripts/ballast/tables/table1.py").read_text())
    assert pending(copy) == ran(copy) == {"table": 1, "cost": 1, "pages": 1}
    mine, first = (copy / f"results/small/tables/{name}.csv" for name in ("mine", "table1"))
    assert mine.read_bytes() == first.read_bytes() and pending(copy) == {}
    edit(copy, "scripts/ballast/tables/mine.py", '"sampling"', '"samplign"')
    done = subprocess.run([edits.SNAKEMAKE, "-n", "--configfile", CONFIG], cwd=copy, capture_output=True, text=True)
    assert done.returncode and "Traceback" not in done.stderr
    said = "ballast: scripts/ballast/tables/mine.py: EXPERIMENT: there is no 'samplign'; did you mean 'sampling'?"
    assert said in done.stderr.splitlines()


def test_an_edited_table_or_figure_is_itself_and_the_pages_of_tables(copy):
    edit(copy, "scripts/ballast/figures/figure3.py", "\n\n\n", "\n\nassert True\n\n\n")
    assert pending(copy) == {"figure": 1}
    edit(copy, "scripts/ballast/tables/table1.py", "\n\n\n", "\n\nassert True\n\n\n")
    assert pending(copy) == {"table": 1, "figure": 1, "pages": 1}


def test_code_that_stages_share_is_those_stages(copy):
    edit(copy, "scripts/ballast/markup.py", "\n\n\n", "\n\nassert True\n\n\n")
    documents = {name: 1 for name in DOCUMENTS if name != "explore"}
    assert pending(copy) == {"table": 7, "comparison": 2} | documents


def test_a_run_of_a_few_jobs_starts_no_preloaded_process(copy):
    (copy / "scripts/ballast/running/preload_server.py").write_text('open("preloaded", "w")\n')
    study = copy / "results/small"
    (study / "headline.txt").unlink()
    assert ran(copy) == {"headline": 1, "pages": 1} and not (copy / "preloaded").exists()
    for number in (1, 2, 3):
        (study / f"tables/table{number}.tex").unlink()
    assert ran(copy) == {"table": 3, "pages": 1} and (copy / "preloaded").exists()
