"""Samplers: the rules that each keeps on any pool. A new sampler file is tested by being there."""

from itertools import count, takewhile

import numpy as np
import pandas as pd
import pytest
from helpers.made_pool import CATEGORIES, GREEDY, Pool, any_of, cosine, make_pool, pools, select, unit
from hypothesis import given
from hypothesis import strategies as st

from ballast import plugins, samplers
from ballast.files import BallastError
from ballast.picks.nearest import nearest_category
from ballast.picks.selection import Selection, highest
from ballast.picks.vectors import in_memory
from ballast.samplers import cossim

SAMPLERS = [*plugins.names("samplers"), "t1", "t2", "t3", "t4", *(f"{name}-b" for name in samplers.with_forms())]
AMONG = [*(name for name in SAMPLERS if samplers.split(name)[1]), *(f"{name}-t2" for name in samplers.with_forms())]
DETERMINISTIC = ["none", "pss", "pss-b", "cossim", "cossim-b", *GREEDY]
STRATIFIED = ["sss", "sss-b", "pss", "pss-b", "cossim", "cossim-b"]
MULTILABEL = ["first-taken", "primary-only"]
CENTROIDS = ["eligible", "all"]


def capacity(sampler: str, pool: Pool, multilabel: str = "first-taken") -> int:
    """How many rows the sampler can give: all that are eligible and, where it looks at labels, have one."""
    if sampler == "none":
        return 0
    rows = pool.eligible(sampler)
    return len([row for row in rows if pool.labels(row, sampler, multilabel)] if sampler in STRATIFIED else rows)


def picked(sampler: str, pool: Pool, n: int, seed: int = 0, order=None, **options) -> Selection | None:
    """What the sampler picks; None where it says that it cannot."""
    try:
        return select(sampler, pool, n, seed, order, **options)
    except BallastError:
        return None


# ---- every sampler there is


@pytest.mark.parametrize("sampler", SAMPLERS)
@any_of
@given(pools(), st.integers(0, 45), st.integers(0, 45), st.integers(0, 9), st.sampled_from(MULTILABEL))
def test_it_gives_exactly_n_rows_of_the_pool_or_an_error(sampler, pool, one, other, seed, multilabel):
    fewer, n = sorted((one, other))
    more = picked(sampler, pool, n, seed, multilabel=multilabel)
    if n > len(pool.ids):
        assert more is None
    if more is None:
        assert picked(sampler, pool, n + 1, seed, multilabel=multilabel) is None
        return
    assert len(more.ids) == len(more.categories) == n
    assert len(set(more.ids)) == n and set(more.ids) <= set(pool.ids)
    less = select(sampler, pool, fewer, seed, multilabel=multilabel)
    assert (less.ids, less.categories) == (more.ids[:fewer], more.categories[:fewer]), "select(k) begins select(n)"


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_largest_subset_begins_with_every_smaller_one(sampler):
    pool = make_pool([("T1" if index % 3 else f"T{index % 4 + 1}", (index % 5, index % 7)) for index in range(24)])
    growing = list(takewhile(lambda found: found is not None, (picked(sampler, pool, n, seed=3) for n in count())))
    for n, found in enumerate(growing):
        assert (found.ids, found.categories) == (growing[-1].ids[:n], growing[-1].categories[:n])


@pytest.mark.parametrize("sampler", SAMPLERS)
@any_of
@given(pools(), st.integers(0, 40), st.integers(0, 9), st.integers(0, 99))
def test_the_order_of_rows_does_not_matter(sampler, pool, n, seed, order):
    shuffled = picked(sampler, pool, n, seed, order=np.random.default_rng(order))
    assert shuffled == picked(sampler, pool, n, seed)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_what_a_sampler_says_of_its_seed_is_true(sampler):
    """A method's number of trials goes by it."""
    pool = make_pool([(f"T{index % 4 + 1}", (index // 4 % 14,)) for index in range(4 * 14 * 2)])
    # A draw at temperature 0 takes the highest.
    plugin, _ = samplers.split(sampler)
    n = 0 if sampler == "none" else 10
    picks = {tuple(select(sampler, pool, n, seed, temperature=1.0).ids) for seed in range(6)}
    assert (len(picks) > 1) == plugins.load("samplers", plugin).SEEDED


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name != "none"])
def test_a_rich_pool_fills_any_wish(sampler):
    pool = make_pool([(f"T{index % 4 + 1}", (index // 4 % 14,)) for index in range(4 * 14 * 2)])
    assert len(select(sampler, pool, 20).ids) == 20


@pytest.mark.parametrize("sampler", AMONG)
@any_of
@given(pools(), st.integers(0, 9))
def test_a_sampler_among_one_behaviour_picks_that_alone(sampler, pool, seed):
    _, among = samplers.split(sampler)
    for n in (1, 7, 20):
        found = picked(sampler, pool, n, seed)
        assert found is None or {pool.behaviour[row] for row in found.ids} == {among}


# ---- the paper's samplers


@pytest.mark.parametrize("sampler", [*STRATIFIED, *GREEDY, "random", "random-b", "none", "dsir", "dsir-b"])
@any_of
@given(pools(), st.sampled_from(MULTILABEL))
def test_it_can_give_every_eligible_row_and_not_one_more(sampler, pool, multilabel):
    most = capacity(sampler, pool, multilabel)
    if sampler != "none" and not pool.eligible(sampler):
        return
    assert len(select(sampler, pool, most, multilabel=multilabel).ids) == most
    with pytest.raises(BallastError, match=rf"^{most + 1} examples wanted, but only {most} rows"):
        select(sampler, pool, most + 1, multilabel=multilabel)


@pytest.mark.parametrize("sampler", ["t1", "t2", "t3", "t4", "random-b"])
@any_of
@given(pools(), st.integers(0, 9))
def test_samplers_of_one_behaviour_share_the_draw_of_random(sampler, pool, seed):
    everything = select("random", pool, len(pool.ids), seed).ids
    shared = [row for row in everything if row in pool.eligible(sampler)]
    if shared:
        assert select(sampler, pool, len(shared), seed).ids == shared
    else:
        assert picked(sampler, pool, 1, seed) is None


@pytest.mark.parametrize("sampler", STRATIFIED)
@any_of
@given(pools(), st.integers(1, 40), st.integers(0, 9), st.sampled_from(MULTILABEL))
def test_slots_are_even_and_what_a_category_lacks_is_told(sampler, pool, n, seed, multilabel):
    found = picked(sampler, pool, n, seed, multilabel=multilabel)
    if found is None:
        return
    labels = {row: pool.labels(row, sampler, multilabel) for row in pool.eligible(sampler)}
    assert all(category in labels[row] for row, category in zip(found.ids, found.categories, strict=True))
    left = {category for row in labels if row not in found.ids for category in labels[row]}
    counts = {category: found.categories.count(category) for category in CATEGORIES}
    assert all(counts[category] >= max(counts.values()) - 1 for category in left), "another got two slots more"
    assert found.shortfall == {one: n // 14 - count for one, count in counts.items() if count < n // 14}
    assert not left & set(found.shortfall), "short although rows are left"


@pytest.mark.parametrize("sampler", ["sss", "sss-b", "pss", "pss-b"])
def test_an_exhausted_category_leaves_its_slots_to_the_others(sampler):
    pool = make_pool([("T1", (0,)), *[("T1", (category,)) for category in CATEGORIES[1:] for _ in range(4)]])
    found = select(sampler, pool, 42)
    assert found.shortfall == {0: 2}
    counts = sorted(found.categories.count(category) for category in CATEGORIES)
    assert counts == [1, *[3] * 11, *[4] * 2]


@pytest.mark.parametrize("sampler", STRATIFIED)
@any_of
@given(pools(), st.integers(1, 40), st.integers(0, 9), st.sampled_from(MULTILABEL), st.sampled_from(CENTROIDS))
def test_every_slot_takes_the_best_row_left(sampler, pool, n, seed, multilabel, centroid):
    options = {"centroid": centroid, "multilabel": multilabel}
    found = picked(sampler, pool, n, seed, **options)
    if found is None:
        return
    labels = {row: pool.labels(row, sampler, multilabel) for row in pool.eligible(sampler)}
    draw = select("random", pool, len(pool.ids), seed).ids

    def key(row: str, category: int) -> tuple:
        if sampler.startswith("sss"):
            return (draw.index(row),)
        if sampler.startswith("cossim"):
            return -pool.mean_cosine(row, category), row
        among = labels if centroid == "eligible" else {row: pool.labels(row, sampler, multilabel) for row in pool.ids}
        members = [pool.embedding[member] for member in among if category in among[member]]
        centre = np.mean([unit(vector) for vector in members], axis=0)
        return -round(cosine(pool.embedding[row], centre), 6), row

    for place, (row, category) in enumerate(zip(found.ids, found.categories, strict=True)):
        rivals = [other for other in labels if category in labels[other] and other not in found.ids[:place]]
        assert row == min(rivals, key=lambda other: key(other, category))


@pytest.mark.parametrize("sampler", ["pss", "pss-b", "cossim", "cossim-b"])
@any_of
@given(pools())
def test_deterministic_samplers_serve_the_rarest_category_first(sampler, pool):
    own = [pool.labels(row, sampler, "primary-only") for row in pool.eligible(sampler)]
    members = [category for labels in own for category in labels]
    order = sorted(set(members), key=lambda category: (members.count(category), category))
    if order:
        assert select(sampler, pool, len(order), multilabel="primary-only").categories == order


@pytest.mark.parametrize("sampler", DETERMINISTIC)
@any_of
@given(pools(), st.integers(0, 40), st.integers(1, 2**31))
def test_deterministic_samplers_ignore_the_seed(sampler, pool, n, seed):
    assert picked(sampler, pool, n, seed) == picked(sampler, pool, n, 0)


@any_of
@given(pools())
def test_cossim_scores_are_means_of_pairwise_cosines(pool):
    features = pool.features(cossim.NEEDS)
    scores = features.embedding.units(np.arange(len(pool.ids))) @ features.references.T
    naive = [[pool.mean_cosine(row, category) for category in CATEGORIES] for row in pool.ids]
    assert np.abs(scores - naive).max() < 1e-6
    nearest = nearest_category(features.embedding, pool.ids, features.references)
    assert nearest.tolist() == [row.index(max(row)) for row in naive]


def test_scores_that_agree_to_six_digits_rank_by_id():
    """The last digits differ between machines."""
    assert highest(["b", "a", "c"], np.array([0.5 + 1e-9, 0.5, 0.5 + 1e-5]), 2) == ["c", "a"]


def test_sss_leads_with_another_category_under_another_seed():
    pool = make_pool([("T1", (index % 14,)) for index in range(28)])
    orders = [tuple(select("sss", pool, 14, seed).categories) for seed in range(200)]
    assert all(sorted(order) == list(CATEGORIES) for order in orders)
    assert {order[0] for order in orders} == set(CATEGORIES)
    assert len(set(orders)) == 200


def test_a_row_of_two_categories_serves_the_first_that_takes_it_or_its_own():
    pool = make_pool([("T1", (1, 0)), ("T1", (1,)), ("T1", (1,)), ("T1", ())])
    both, *_ = pool.ids
    taken = select("pss", pool, 3)
    assert taken.ids[0] == both and taken.categories == [0, 1, 1], "0 is rarer and takes it"
    own = select("pss", pool, 3, multilabel="primary-only")
    assert own.categories == [1, 1, 1]


def test_the_centroid_of_pss_b_is_that_of_the_rows_asked_for():
    pool = make_pool([("T1", (0,)), ("T1", (0,)), ("T1", (0,)), ("T4", (0,)), ("T4", (0,)), ("T4", (0,))])
    near, far, other, *rest = pool.ids
    north, east, towards = np.array([0, 1, 0]), np.array([1, 0, 0]), np.array([1, 9, 0])
    pool.embedding.update({near: north, other: towards, far: east} | dict.fromkeys(rest, east))
    assert select("pss-b", pool, 1, centroid="eligible").ids == [other]
    assert select("pss-b", pool, 1, centroid="all").ids == select("pss-b", pool, 1).ids == [far]
    assert select("pss", pool, 1, centroid="eligible").ids[0] in [far, *rest]


@pytest.mark.parametrize("sampler", ["pss", "cossim"])
def test_ties_go_by_id(sampler):
    pool = make_pool([("T1", (5,))] * 12)
    pool.embedding.update(dict.fromkeys(pool.ids, np.array([1.0, 2.0, 2.0])))
    assert select(sampler, pool, 12).ids == sorted(pool.ids)


def test_a_category_that_is_nearest_by_noise_alone_is_not_nearest():
    directions = np.zeros((14, 2))
    directions[[3, 8]] = [0.5, 0.5], [0.5 + 1e-9, 0.5 + 1e-5]
    assert nearest_category(in_memory(["a", "b"], np.eye(2)), ["a", "b"], directions).tolist() == [3, 8]


def test_noise_in_the_last_bits_does_not_change_a_subset():
    pool = make_pool([("T1", (index % 3,)) for index in range(40)])
    before = [select(sampler, pool, 30) for sampler in ("pss", "cossim")]
    noise = np.random.default_rng(0)
    pool.embedding.update({row: pool.embedding[row] + noise.normal(0, 1e-9, 3) for row in pool.ids})
    assert [select(sampler, pool, 30) for sampler in ("pss", "cossim")] == before


def test_random_is_uniform():
    pool = make_pool([("T1", ())] * 20)
    draws = [select("random", pool, 5, seed).ids for seed in range(2000)]
    for drawn, each in ((1, 100), (5, 500)):
        counts = pd.Series([row for ids in draws for row in ids[:drawn]]).value_counts().reindex(pool.ids, fill_value=0)
        # 19 degrees of freedom: a fair draw passes 60 less than once in 100,000 times.
        assert ((counts - each) ** 2 / each).sum() < 60


def test_none_gives_nothing():
    pool = make_pool([("T1", (0,))])
    assert select("none", pool, 0) == Selection([], [])
    with pytest.raises(BallastError, match="^1 examples wanted, but only 0 rows"):
        select("none", pool, 1)


@pytest.mark.parametrize("sampler", samplers.with_forms())
def test_both_names_of_t1_are_the_same_picks(sampler):
    pool = make_pool([(f"T{index % 4 + 1}", (index // 4 % 14,)) for index in range(4 * 14)])
    assert select(f"{sampler}-t1", pool, 9, 5) == select(f"{sampler}-b", pool, 9, 5)
    assert set(select(f"{sampler}-t2", pool, 9, 5).ids).isdisjoint(select(f"{sampler}-b", pool, 9, 5).ids)


@pytest.mark.parametrize("sampler", ["dsir", "less", *AMONG])
def test_a_behaviour_that_the_pool_lacks_is_named(sampler):
    wanted = samplers.split(sampler)[1] or "T1"
    pool = make_pool([("T1" if wanted != "T1" else "T2", (0,)), ("unknown", (1,))])
    with pytest.raises(BallastError, match=f"no row labelled {wanted}"):
        select(sampler, pool, 1)


def test_rows_without_a_category_do_not_count_as_eligible():
    pool = make_pool([("T1", (2,)), ("T1", ())])
    with pytest.raises(BallastError, match="2 examples wanted, but only 1 rows with a category are eligible"):
        select("sss", pool, 2)
