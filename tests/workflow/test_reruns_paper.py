"""What an edit would re-run of the whole paper study, by dry run over the record of a finished one."""

import shutil
from pathlib import Path

import pytest
import yaml
from helpers import edits
from helpers.edits import DOCUMENTS, checkout, edit

pytestmark = pytest.mark.workflow
# What shows scores; Table 3 and Figure 5 show the pool.
SHOWN = {"scores": 13, "table": 9, "figure": 8, "comparison": 3} | DOCUMENTS
# The same of the experiment `sampling` alone.
SAMPLING = SHOWN | {"scores": 4, "table": 7, "figure": 6, "comparison": 2}
# What says how the study is made, and counts its jobs.
SAID = {"about": 1, "cost": 1}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(edits.ROOT / "benchmarks"))
        import dry_runs
    folder = checkout(tmp_path_factory.mktemp("paper") / "study")
    dry_runs.as_if_made(folder, "config/paper.yaml")
    return folder


@pytest.fixture
def copy(recorded, tmp_path) -> Path:
    return Path(shutil.copytree(recorded, tmp_path / "copy", symlinks=True))


def pending(folder: Path, **changes) -> dict[str, int]:
    """Jobs by rule that a dry run of the paper study with these changes to its config shows."""
    (folder / "config/edited.yaml").write_text(yaml.safe_dump({"extends": "paper.yaml"} | changes))
    return edits.pending(folder, "--configfile", "config/edited.yaml")


def test_nothing_to_do_after_a_remark(copy):
    for file in [*(copy / "scripts").rglob("*.py"), *(copy / "workflow").rglob("*.smk")]:
        file.write_text("# A remark.\n" + file.read_text() if file.suffix == ".py" else file.read_text() + "\n# One.\n")
    assert pending(copy) == {}


def test_an_option_of_sampling_is_the_runs_of_samplers_that_declare_it(copy):
    found = pending(copy, sampling={"centroid": "eligible"})
    assert found == {"sample": 7, "train": 7, "generate": 7, "judge": 21, "about": 1} | SAMPLING


def test_a_sampler_edited_one_size_and_one_trial_more_are_their_own_runs(copy):
    edit(copy, "scripts/ballast/samplers/pss.py", "\ndef select(", "\nassert True\n\n\ndef select(")
    sizes = [50, 100, 150, 250, 350, 500, 700, 1000]
    # Three samplers draw once a trial, four always pick the same. The edited one is two of the four, pss and pss-b.
    runs = 2 * 7 + (3 * 11 + 4) + 3 * 7
    assert pending(copy, experiments={"sampling": {"n": sizes, "trials": 11}}) == {
        "sample": runs, "train": runs, "generate": runs, "judge": 3 * runs
    } | SAMPLING | SAID  # fmt: skip


def test_a_table_alone_costs_what_it_shows(copy):
    shutil.rmtree(copy / "results/paper")
    target = "results/paper/tables/table1.md"
    found = edits.pending(copy, "--configfile", "config/paper.yaml", "--", target)
    # Of 579 trainings and 1,110 judgements; the model as it is is asked too.
    counts = {"sample": 239, "train": 239, "generate": 240, "judge": 240, "scores": 1, "table": 1}
    assert {rule: found[rule] for rule in counts} == counts


def test_a_judge_template_is_its_judge(copy):
    # Attack success is measured on Table 1's runs, Figure 7's, the fine-tuned chat model and two models as they are.
    judged = 239 + 140 + 1 + 2
    found = pending(copy, judges={"md-judge": {"template": "md-judge-domain"}})
    shown = SHOWN | {"scores": 4, "table": 6, "figure": 2, "comparison": 1}
    assert found == {"fetch": 1, "judge": judged, "about": 1} | shown


def test_decoding_is_generation_onwards_and_the_code_of_all_tables_each_of_them(copy):
    edit(copy, "scripts/ballast/markup.py", "\n\n\n", "\n\nassert True\n\n\n")
    # Table 3 shows no scores, so only the edit of markup re-runs it; no figure reads markup.
    wanted = {"generate": 582, "judge": 1110} | SHOWN | SAID | {"table": 10}
    assert pending(copy, generation={"max_new_tokens": 99}) == wanted


def test_the_name_of_a_published_model_is_what_shows_it(copy):
    found = pending(copy, models={"mistral-7b": {"published": None}})
    assert found == {"comparison": 1, "about": 1, "pages": 1}


def test_a_published_number_and_the_style_of_figures_are_what_shows_them(copy):
    edit(copy, "scripts/ballast/published/tables.csv", "2.16,0.06", "2.17,0.06")
    edit(copy, "scripts/ballast/results/style.py", "\n\n\n", "\n\nassert True\n\n\n")
    compared, drawn = {"claims": 1, "comparison": 3}, {"figure": 9, "advice": 1, "explore": 1}
    assert pending(copy) == compared | drawn | {"pages": 1}
