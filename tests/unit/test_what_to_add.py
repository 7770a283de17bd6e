"""What the page of `ballast measure` says to add: by the studies at hand, else by the paper's Table 1."""

import pandas as pd
import pytest
from helpers.published import TABLES

from ballast.published import tables
from ballast.results import metrics, what_to_add

OPTIONS = {"study": "mine", "pool": "own", "configfiles": "config/mine.yaml config/local.yaml"}
RATE = metrics.measured_by(metrics.METRICS["harm"], {"unit": "%", "scale": [0, 1]})


@pytest.fixture(scope="module")
def published() -> pd.DataFrame:
    return tables.read(str(TABLES))


def study(folder, name, synthetic=False, advised=True) -> str:
    path = folder / name / "advice.csv"
    path.parent.mkdir()
    row = {"sampler": "t1", "n": 84, "advised": advised, "limit": "harm", "at_most": 20.0, "synthetic": synthetic}
    pd.DataFrame([row | {"advised": False, "n": 42}, row, row | {"limit": "over_refusal"}]).to_csv(path, index=False)
    return str(path)


def test_a_study_of_real_models_here_gives_sampler_and_number(tmp_path, published):
    advice = what_to_add.advised([study(tmp_path, "small"), study(tmp_path, "mini", synthetic=True)])
    assert advice == [
        {"study": "small", "sampler": "t1", "n": 84, "limits": "harm at most 20, over_refusal at most 20"}
    ]
    text = "\n".join(what_to_add.paragraphs(OPTIONS, RATE, 20, published, advice))
    command = (
        "snakemake --configfile config/mine.yaml config/local.yaml -- results/mine/subsets/own/t1/n84/t0/subset.jsonl"
    )
    assert command in text and "Study `small` here advises 84" in text and "mini" not in text


def test_a_study_that_advises_nothing_is_left_out(tmp_path):
    assert what_to_add.advised([study(tmp_path, "small", advised=False)]) == []


@pytest.mark.parametrize(
    ("harm", "limit", "n", "said"),
    [
        (metrics.METRICS["harm"], 0.8, 250, "SSS-B reaches 0.80 with 250, the fewest there"),
        (metrics.METRICS["harm"], 0.1, 250, "from 2.07 with 50 to 0.53 with 1000"),
        (RATE, 20.0, 250, "250 is the middle of its grid, not a promise for yours"),
    ],
)
def test_without_a_study_the_papers_table_gives_the_number(published, harm, limit, n, said):
    text = "\n".join(what_to_add.paragraphs(OPTIONS, harm, limit, published, []))
    assert f"subsets/own/sss-b/n{n}/t0/subset.jsonl" in text and said in text
