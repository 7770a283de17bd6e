"""The projection of gradients: exact in expectation, with the variance of a dense one, and the same everywhere."""

import numpy as np
import pytest
import torch

from ballast.picks.projection import Projection, Sums

SIZES = {"a": (40, 7), "b": (300,), "c": (5, 5, 5)}


def rows(seed: int, count: int = 2) -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    return {name: torch.randn(count, *shape, generator=random) for name, shape in SIZES.items()}


def flat(gradients: dict[str, torch.Tensor]) -> np.ndarray:
    return torch.cat([gradients[name].flatten(1) for name in SIZES], dim=1).double().numpy()


def project(gradients: dict[str, torch.Tensor], dimensions: int, seed: int) -> Sums:
    found = Sums(Projection(dimensions, seed))
    for name, values in gradients.items():
        found.add(name, values)
    return found


def test_inner_products_are_exact_in_expectation_with_the_stated_variance():
    gradients = rows(0)
    gradients["b"][1] += 2 * gradients["b"][0]
    x, y = flat(gradients)
    exact, bound = x @ y, 2 * (x @ x) * (y @ y) / 64
    drawn = [project(gradients, 64, seed).projected().astype(float) for seed in range(2000)]
    found = np.array([one @ other for one, other in drawn])
    assert abs(found.mean() - exact) < 4 * np.sqrt(bound / len(found))
    assert found.var() < bound
    squares = np.array([one @ one for one, _ in drawn])
    assert abs(squares.mean() / (x @ x) - 1) < 4 * np.sqrt(2 / 64 / len(drawn))


def test_it_is_a_signed_count_sketch():
    """Each coordinate goes to one sum with a sign, and each sum gets coordinates of different blocks alone."""
    projection = Projection(16, 3)
    each = projection("a", torch.eye(40))
    assert ((each != 0).sum(dim=1) == 1).all() and set(each.abs().unique().tolist()) == {0.0, 1.0}
    places = each.abs().argmax(dim=1)
    assert all(len(block.unique()) == len(block) for block in places.split(16))
    assert len({float(one.sum()) for one in each}) == 2


def test_which_coordinates_of_two_blocks_meet_is_drawn():
    """Rows of a matrix that is as wide as a block would else meet column by column, and columns are alike."""
    placed = [Projection(8, seed)("a", torch.eye(16)).abs().argmax(dim=1) for seed in range(200)]
    apart = [int((places[8] - places[0]) % 8) for places in placed]
    # 25 of each are expected, with a standard deviation of 4.7.
    assert all(10 <= apart.count(shift) <= 45 for shift in range(8))


def test_a_weight_with_no_more_coordinates_than_dimensions_keeps_its_inner_products():
    gradient = torch.randn(3, 5, 6, generator=torch.Generator().manual_seed(0))
    projected = Projection(30, 1)("w", gradient).double()
    assert torch.allclose(projected @ projected.T, gradient.flatten(1).double() @ gradient.flatten(1).double().T)


def test_many_blocks_give_what_few_give(monkeypatch):
    gradients = rows(1)
    before = project(gradients, 4, 0).projected()
    monkeypatch.setattr("ballast.picks.projection.BLOCKS", 3)
    assert np.allclose(project(gradients, 4, 0).projected(), before, atol=1e-5)


def test_the_order_of_weights_and_the_rows_beside_it_change_nothing():
    gradients = rows(2, 5)
    whole = project(gradients, 32, 0)
    turned = project(dict(reversed(gradients.items())), 32, 0)
    assert np.allclose(whole.projected(), turned.projected(), atol=1e-5)
    alone = project({name: values[3:4] for name, values in gradients.items()}, 32, 0)
    assert (alone.projected()[0] == whole.projected()[3]).all()


@pytest.mark.parametrize("other", [{"seed": 1}, {"name": "v"}])
def test_another_seed_or_weight_is_another_projection(other):
    gradient = torch.ones(1, 100)
    one = Projection(16, 0)("w", gradient)
    assert not torch.equal(one, Projection(16, other.get("seed", 0))(other.get("name", "w"), gradient))
    assert torch.equal(one, Projection(16, 0)("w", gradient)), "the same seed draws the same"


def test_norms_are_those_of_the_whole_gradient():
    gradients = rows(3)
    assert np.allclose(project(gradients, 8, 0).norms(), np.linalg.norm(flat(gradients), axis=1), rtol=1e-6)
