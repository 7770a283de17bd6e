"""The verdicts on printed cells in the table "Claims in words" of docs/claims.md: no check of a claim computes them."""

from pathlib import Path

import pytest

from ballast.names import NONE
from ballast.plugins import HOME
from ballast.published import tables

DOCS = (Path(__file__).parents[2] / "docs/claims.md").read_text()
N = (50, 100, 150, 250, 350, 500, 1000)


@pytest.fixture(scope="module")
def harm():
    """Harm of Table 1 by sampler, in the order of N, and of no safety data; what ± is of SSS."""
    cells = tables.read(str(HOME / "published/tables.csv"))
    cells = cells[(cells["metric"] == "harm") & (cells["model"] == "llama-2-7b")]
    found = {name: list(rows.sort_values("n")["mean"]) for name, rows in cells.groupby("sampler")}
    return found | {"±": list(cells[cells["sampler"] == "sss"].sort_values("n")["pm"])}


def minus(harm, one, other):
    return [round(a - b, 2) for a, b in zip(harm[one], harm[other], strict=True)]


def row(start):
    [line] = [line for line in DOCS.splitlines() if line.startswith(f"| {start}")]
    return line


def test_random_and_its_returns(harm):
    assert max(harm["random"]) < harm[NONE][0] and "7 of 7 n below 2.37" in row("Random alone")
    per_example = [(a - b) / (m - n) for a, b, n, m in zip(harm["random"], harm["random"][1:], N, N[1:], strict=False)]
    assert per_example[0] > per_example[3] > per_example[4] > per_example[5] > 0
    falls = harm["random"][0] - harm["random"][1], harm["random"][5] - harm["random"][6]
    assert "by {:.2f} from 50 to 100, by {:.2f} from 500".format(*falls) in row("returns diminish")


def test_sss_b_and_cossim_b_alternate(harm):
    between = minus(harm, "sss-b", "cossim-b")
    assert [n for n, each in zip(N, between, strict=True) if each < 0] == [150, 250, 500]
    assert max(map(abs, between)) == 0.25 == -between[2] and "up to 0.25 (at 150)" in row("SSS-B and Cossim-B")


def test_centroids_are_below_strata_at_small_n_alone(harm):
    assert [each < 0 for each in minus(harm, "pss", "sss")] == [True] * 3 + [False] * 4
    assert "SSS is above PSS at 50, 100 and 150" in row("drawn strata")
    assert "PSS below SSS at 50, 100 and 150, above it" in row("neither centroids")


def test_spread_and_gains_by_n(harm):
    assert (
        max(harm["±"]) == harm["±"][1] == 0.20 and harm["±"][0] == 0.05 and "(0.20), and 0.05 at 50" in row("SSS var")
    )
    gains = minus(harm, "sss-b", "random")
    assert (gains[0], gains[2], min(gains[4:])) == (-0.09, -0.29, -0.04) and min(gains) == gains[2]
    assert "0.09 lower at 50, 0.29 at 150, at most 0.04 from 350" in row("gains over Random")
