"""Samplers beyond the paper, by hand: k-center, facility location, mix, clusters, DSIR."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.made_pool import GREEDY, Pool, any_of, cosine, make_pool, pools, select
from hypothesis import given

from ballast.files import BallastError
from ballast.samplers import dsir


def at_angles(**angles: float) -> Pool:
    """Rows named and placed on a circle, in degrees."""
    pool = make_pool([("T1", ())] * len(angles))
    turned = {row: np.deg2rad(angle) for row, angle in angles.items()}
    embedding = {row: np.array([np.cos(angle), np.sin(angle), 0.0]) for row, angle in turned.items()}
    return replace(pool, ids=list(angles), behaviour=dict.fromkeys(angles, "T1"), embedding=embedding)


def test_k_center_by_hand():
    """The mean points to 51, next to b; then a is 50 away and c 40; d is 10 from b."""
    pool = at_angles(a=0, b=50, c=90, d=60)
    assert select("k-center", pool, 4).ids == ["b", "a", "c", "d"]


def test_facility_location_by_hand():
    """a and d serve the pool alike, and a comes first; c gains most from itself; then b and d are 10 from a."""
    pool = at_angles(a=10, b=0, c=180, d=20)
    assert select("facility-location", pool, 4).ids == ["a", "c", "b", "d"]


def test_mix_keeps_its_shares_at_every_n():
    pool = at_angles(**{f"{kind}{number}": 0 for kind in ("a", "b") for number in range(20)})
    pool = replace(pool, behaviour={row: "T1" if row[0] == "a" else "T4" for row in pool.ids})
    found = select("mix", pool, 12, 3, t1=3.0, t4=1.0).ids
    for n in range(1, 13):
        assert abs(sum(row[0] == "b" for row in found[:n]) - n / 4) < 1, n
    assert found == select("mix", pool, 20, 3, t1=3.0, t4=1.0).ids[:12]
    assert [row for row in found if row[0] == "a"] == select("t1", pool, 9, 3).ids, "the same T1 rows as t1 alone"
    with pytest.raises(BallastError, match="needs 21 rows labelled T4, and the pool has 20"):
        select("mix", pool, 21, 0, t1=0.0, t4=1.0)
    for wrong in ({"t1": 0.0}, {"t4": -1.0}):
        with pytest.raises(BallastError, match="parts of at least one behaviour"):
            select("mix", pool, 3, 0, **wrong)


def test_clusters_by_hand():
    """Three groups far from each other: each gives its share whatever the seed, and a small one all that it has."""
    angles = {"a": 0, "b": 2, "c": 4, "d": 6, "e": 120, "f": 122, "g": 124, "h": 240}
    groups = {row: "abcd,efg,h".count(",", 0, "abcd,efg,h".index(row)) for row in angles}
    orders = set()
    for seed in range(20):
        found = select("clusters", at_angles(**angles), 5, seed, clusters=3)
        counts = [sum(groups[row] == group for row in found.ids) for group in range(3)]
        assert counts == [2, 2, 1] and found.categories == [None] * 5 and not found.shortfall
        orders.add(tuple(found.ids))
    assert len(orders) > 5, "the seed draws the rows"
    assert sorted(select("clusters", at_angles(**angles), 8, 0, clusters=3).ids) == sorted(angles)
    assert len(select("clusters", at_angles(a=1, b=1, c=1), 2, 0, clusters=14).ids) == 2, (
        "equal rows, fewer than clusters"
    )


@pytest.mark.parametrize("sampler", GREEDY)
@any_of
@given(pools())
def test_every_greedy_pick_is_the_best_there_is(sampler, pool):
    rows = sorted(pool.eligible(sampler))
    if not rows:
        return
    near = np.array([[cosine(pool.embedding[one], pool.embedding[other]) for other in rows] for one in rows])

    def value(picked: list[str], row: str) -> float:
        chosen = [rows.index(each) for each in (*picked, row)]
        if sampler.startswith("facility-location"):
            return near[:, chosen].max(axis=1).sum() - (near[:, chosen[:-1]].max(axis=1).sum() if picked else 0)
        return -near[chosen[-1], chosen[:-1]].max() if picked else near[chosen[-1]].mean()

    found = select(sampler, pool, len(rows)).ids
    for place, row in enumerate(found):
        left = [other for other in rows if other not in found[:place]]
        assert row == min(left, key=lambda other: (-round(value(found[:place], other), 6), other))


def test_dsirs_weights_by_hand():
    """'a a', 'b', target 'a': p_pool = (2, 1, 1) / 4 of a, 'a a', b and p_target(a) = 1."""
    two, other = dsir.log_weights(["a a", "b"], ["a"])
    never = np.log(1e-8) - np.log(0.25)
    assert two == pytest.approx(2 * np.log(2) + never, abs=1e-6) and other == pytest.approx(never, abs=1e-6)


def test_dsir_draws_in_proportion_to_the_weights():
    """Two rows whose weights are 3 : 1 over 4,000 seeds."""
    ids, log_weight = ["x", "y"], {"x": np.log(3), "y": 0.0}
    wins = sum(max(ids, key=lambda row: log_weight[row] + dsir._gumbel(row, seed)) == "x" for seed in range(4000))
    assert abs(wins / 4000 - 0.75) < 0.025


def test_dsir_prefers_what_reads_like_its_target():
    pool = make_pool([("T1", ())] * 15 + [("T4", ())] * 15)
    counts = {target: 0 for target in ("t1", "base")}
    for target in counts:
        for seed in range(20):
            drawn = select("dsir", pool, 10, seed, target=target).ids
            counts[target] += sum(pool.behaviour[row] == "T1" for row in drawn)
    assert counts["t1"] > 180 and counts["base"] < 60
