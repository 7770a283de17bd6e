"""Name the cells that a claim compares: pairs of cells of any grid, the first of which should be lower."""

from ballast.claims.grids import Cell, Grid
from ballast.claims.verdicts import Pairs
from ballast.names import AS_IS, NONE, RANDOM, REFERENCES

HARM, ASR, OVER_REFUSAL, HELPFULNESS = "harm", "asr", "over_refusal", "helpfulness"
BEHAVIOURAL = ("sss-b", "pss-b", "cossim-b")
STRUCTURED = ("sss", "pss", "cossim", *BEHAVIOURAL)


def below(against: str, samplers: tuple[str, ...], metrics: tuple[str, ...], sizes: tuple[int, ...] = ()) -> Pairs:
    """Pair each sampler with `against`, at every n or at `sizes`, on every model of the experiment."""

    def pairs(grid: Grid) -> list[tuple[Cell, Cell]]:
        return [
            (grid.cell(metric, sampler, n, model), grid.cell(metric, against, n, model))
            for metric in metrics
            for model in grid.models
            for sampler in samplers
            for n in sizes or grid.sizes
        ]

    return pairs


def among_best(samplers: tuple[str, ...], sizes: tuple[int, ...] = ()) -> Pairs:
    """Pair each of `samplers` with Random and with every structured sampler that is not among them, in harm."""

    def pairs(grid: Grid) -> list[tuple[Cell, Cell]]:
        return [
            (grid.cell(HARM, sampler, n), grid.cell(HARM, other, n))
            for n in sizes or grid.sizes
            for sampler in samplers
            for other in (RANDOM, *STRUCTURED)
            if other not in samplers
        ]

    return pairs


def best_is_among(samplers: tuple[str, ...]) -> Pairs:
    """Pair the lowest of `samplers` at each n with every other sampler but Random-B, in harm."""

    def pairs(grid: Grid) -> list[tuple[Cell, Cell]]:
        known = [name for name in samplers if name in grid.samplers]
        return [
            (min((grid.cell(HARM, name, n) for name in known), key=grid.mean), grid.cell(HARM, other, n))
            for n in grid.sizes
            for other in grid.samplers
            if known and other not in (*samplers, *REFERENCES, "random-b")
        ]

    return pairs


def falls(metric: str, samplers: tuple[str, ...]) -> Pairs:
    """Pair each n with the n before it."""

    def pairs(grid: Grid) -> list[tuple[Cell, Cell]]:
        return [
            (grid.cell(metric, sampler, more), grid.cell(metric, sampler, less))
            for sampler in samplers
            for less, more in zip(grid.sizes, grid.sizes[1:], strict=False)
        ]

    return pairs


def rises(metric: str, samplers: tuple[str, ...]) -> Pairs:
    """Pair the smallest n with the largest."""

    def pairs(grid: Grid) -> list[tuple[Cell, Cell]]:
        least, most = grid.sizes[0], grid.sizes[-1]
        several = samplers if least < most else ()
        return [(grid.cell(metric, name, least), grid.cell(metric, name, most)) for name in several]

    return pairs


def both(*parts: Pairs) -> Pairs:
    return lambda grid: [pair for part in parts for pair in part(grid)]


def refusals_below_safe(grid: Grid) -> list[tuple[Cell, Cell]]:
    """Pair Random from the first pool, rewritten into refusals, with Random from the second, at every n."""
    first, second = [*grid.pools, *grid.pools][:2]
    return [(grid.cell(ASR, RANDOM, n, pool=first), grid.cell(ASR, RANDOM, n, pool=second)) for n in grid.sizes]


def aligned_below_tuned(grid: Grid) -> list[tuple[Cell, Cell]]:
    """Pair the model that is safest before fine-tuning with itself after fine-tuning on base data alone."""
    safest = min(grid.models, key=lambda model: grid.mean(grid.cell(HARM, AS_IS, 0, model)))
    return [(grid.cell(HARM, AS_IS, 0, safest), grid.cell(HARM, NONE, 0, safest))]
