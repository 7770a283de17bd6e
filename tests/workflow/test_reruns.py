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

import pytest
import yaml
from helpers import edits
from helpers.edits import DOCUMENTS, edit

pytestmark = pytest.mark.workflow
CONFIG = edits.SMALL
RUNS = 14  # none, random and sss twice at two sizes, t1 likewise; none once a trial
# What shows scores; Table 3 and Figure 5 show the pool.
SHOWN = {"scores": 1, "table": 5, "figure": 6, "comparison": 2} | DOCUMENTS
# What says how the study is made, and counts its jobs.
SAID = {"about": 1, "cost": 1}


def pending(folder: Path, *arguments: str) -> dict[str, int]:
    return edits.pending(folder, "--configfile", CONFIG, *arguments)


def snakemake(folder: Path) -> str:
    return edits.snakemake(folder, "--configfile", CONFIG)


def ran(folder: Path) -> dict[str, int]:
    """Jobs by rule that a real invocation finishes, but for the target and the barrier."""
    names = re.findall(r"^Finished jobid: \d+ \(Rule: (\w+)\)$", snakemake(folder), re.MULTILINE)
    return dict(Counter(name for name in names if name not in ("all", "settle")))


@pytest.fixture
def copy(finished, tmp_path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copy", symlinks=True))


def test_a_second_run_has_nothing_to_do(finished):
    assert "Nothing to be done" in snakemake(finished)


def test_comments_docstrings_and_layout_re_run_nothing(copy):
    for file in (copy / "scripts").rglob("*.py"):
        file.write_text("# A remark.\n" + file.read_text() + "\n\n# Another.\n")
    edit(copy, "scripts/ballast/samplers/sss.py", '"""', '"""Said anew. ')
    for file in [*(copy / "workflow").rglob("*.smk"), *(copy / "config").glob("*.yaml")]:
        file.write_text(file.read_text() + "\n# A remark.\n")
    assert pending(copy) == {}


def test_time_stamps_re_run_nothing(copy):
    files = sorted(path for path in copy.rglob("*") if path.is_file() and ".snakemake" not in path.parts)
    for number, file in enumerate(files):
        os.utime(file, (2_000_000_000 - number, 2_000_000_000 - number))
    assert pending(copy) == {}


def test_results_move_to_another_clone_with_their_record(finished, tmp_path):
    # What a person copies to go on elsewhere, where everything else is fresh: new time stamps, another path.
    moved = tmp_path / "another place"
    made = {str(finished): {"results", ".snakemake"}}
    shutil.copytree(finished, moved, ignore=lambda folder, _: made.get(folder, ()), copy_function=shutil.copy)
    for name in ("results", ".snakemake/metadata"):
        shutil.copytree(finished / name, moved / name, copy_function=shutil.copy)
    assert pending(moved) == {} and "Nothing to be done" in snakemake(moved)


def test_a_sampler_that_picks_the_same_trains_nothing(copy):
    edit(copy, "scripts/ballast/samplers/sss.py", "\ndef select(", "\nSAME = 1\n\n\ndef select(")
    assert ran(copy) == {"sample": 4}
    assert pending(copy) == {}


def test_a_sampler_that_picks_otherwise_re_runs_the_subsets_that_differ(copy):
    edit(copy, "scripts/ballast/samplers/sss.py", "order, n)", "order if n < 14 else order[::-1], n)")
    assert ran(copy) == {"sample": 4, "train": 2, "generate": 2, "judge": 8} | SHOWN
    assert pending(copy) == {}


def test_a_sampler_that_no_experiment_names_re_runs_nothing(copy):
    edit(copy, "scripts/ballast/samplers/pss.py", "\ndef select(", "\nSAME = 1\n\n\ndef select(")
    assert pending(copy) == {}


def test_one_size_more_is_only_its_runs(copy):
    edit(copy, CONFIG, "n: [7, 14]", "n: [7, 14, 21]")
    assert pending(copy) == {"sample": 6, "train": 6, "generate": 6, "judge": 24} | SHOWN | SAID


def test_one_trial_more_is_only_its_runs(copy):
    edit(copy, CONFIG, "trials: 2", "trials: 3")
    assert pending(copy) == {"sample": 7, "train": 7, "generate": 7, "judge": 28} | SHOWN | SAID
    assert ran(copy) == {"sample": 7, "train": 7, "generate": 7, "judge": 28} | SHOWN | SAID


def test_another_judge_template_is_that_judge_and_what_shows_it(copy):
    template = (copy / "scripts/ballast/judges/md_judge.json").read_text()
    (copy / "mine.json").write_text(template.replace("\\n", "\\n\\n", 1))
    edit(copy, CONFIG, "as_is: []", "as_is: []\njudges: {md-judge: {template: mine.json}}")
    assert pending(copy) == {"judge": RUNS, "about": 1} | SHOWN


def test_another_decoding_is_generation_onwards(copy):
    edit(copy, CONFIG, "as_is: []", "as_is: []\ngeneration: {max_new_tokens: 23}")
    assert pending(copy) == {"generate": RUNS, "judge": 4 * RUNS} | SHOWN | SAID


def test_another_plot_style_is_figures_and_the_page_with_their_colours_only(copy):
    edit(copy, "scripts/ballast/results/style.py", "\n\n\n", "\n\nSAME = 1\n\n\n")
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
    edit(copy, "scripts/ballast/figures/figure3.py", "\n\n\n", "\n\nSAME = 1\n\n\n")
    assert pending(copy) == {"figure": 1}
    edit(copy, "scripts/ballast/tables/table1.py", "\n\n\n", "\n\nSAME = 1\n\n\n")
    assert pending(copy) == {"table": 1, "figure": 1, "pages": 1}


def test_code_that_stages_share_is_those_stages(copy):
    edit(copy, "scripts/ballast/markup.py", "\n\n\n", "\n\nSAME = 1\n\n\n")
    documents = {name: 1 for name in DOCUMENTS if name != "explore"}
    assert pending(copy) == {"table": 6, "comparison": 2} | documents


def test_resources_threads_and_the_order_of_keys_re_run_nothing(copy):
    for file in (copy / "workflow/rules").glob("*.smk"):
        file.write_text(re.sub(r"mem_mb=\d+", "mem_mb=777", file.read_text()))
    for file in (copy / CONFIG, copy / "config/mini.yaml"):
        file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()), sort_keys=file.name == "mini.yaml"))
    assert pending(copy, "--set-resources", "train:runtime=9", "--set-threads", "train=2") == {}


def test_base_data_of_another_place_runs_nothing_and_another_row_all_that_trains_on_it(copy):
    rows = json.loads((copy / "results/worlds/small/data/base.json").read_text())
    (copy / "mine.json").write_text(json.dumps(rows, indent=1))
    edit(copy, CONFIG, "as_is: []", "as_is: []\nbase: {world: null, path: mine.json}")
    # The bill counts rows by the file's form, which is told by its content now.
    assert ran(copy) == {"data": 1, "pages": 1} | SAID, "the same rows out of another file"
    rows[0]["output"] += " And more."
    (copy / "mine.json").write_text(json.dumps(rows))
    assert pending(copy) == {"data": 1, "train": RUNS, "generate": RUNS, "judge": 4 * RUNS, "cost": 1} | SHOWN


def test_labels_made_again_as_they_were_end_at_the_barrier(copy):
    edit(copy, "scripts/ballast/labels/behaviour.py", "\n\n\n", "\n\nSAME = 1\n\n\n")
    # Of the samplers t1 alone reads behaviour; one of the signatures of trouble runs the same code.
    assert ran(copy) == {"behaviour": 1, "sample": 4, "trouble": 1, "pages": 1}


def test_a_run_of_a_few_jobs_starts_no_preloaded_process(copy):
    (copy / "scripts/ballast/running/preload_server.py").write_text('open("preloaded", "w")\n')
    study = copy / "results/small"
    (study / "headline.txt").unlink()
    assert ran(copy) == {"headline": 1, "pages": 1} and not (copy / "preloaded").exists()
    for table in (study / "tables").glob("*.tex"):
        table.unlink()
    assert ran(copy) == {"table": 6, "pages": 1} and (copy / "preloaded").exists()
