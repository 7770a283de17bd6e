"""Check that the file of each plug-in keeps the contract of its kind, without importing it.

`study.artefacts` checks tables and figures.
"""

import math
from collections.abc import Collection

from ballast import plugins
from ballast.files import BallastError
from ballast.identity import constant, defined, file_of

# The functions and constants that a file of each kind must have.
NAMES = {
    "samplers": ("select", "NEEDS", "SEEDED"),
    "filters": ("score",),
    "trainers": ("train",),
    "transforms": ("transform",),
    "judges": ("judge", "CANARIES", "UNIT", "DIRECTION"),
    "backends": ("generate", "answer", "first_token", "record"),
    "readers": ("read", "GIVES"),
}
# Each kind of dataset: the rows that it needs from a reader, and its name in messages.
NEEDED = {
    "pool": ("pairs", "a pool"),
    "base": ("pairs", "fine-tuning data"),
    "references": ("pairs with a category", "the references"),
    "benchmark": ("prompts", "a benchmark"),
}
# Keys of a dataset, and the constants of the readers that take them.
TAKEN_BY = {
    "columns": {"FORM", "NAMES"},
    "where": {"FORM", "NAMES"},
    "tags": {"NAMES", "PROMPTS"},
    "prompts": {"PROMPTS"},
}
# The features that a plug-in may name in NEEDS.
FEATURES = (
    *("behaviour", "category", "embedding", "references", "texts", "base-texts"),
    *("gradients", "base-gradients", "reference-gradients", "logprobs", "base-logprobs"),
)


def check() -> None:
    """Raise BallastError at the first file that lacks a function or a constant, or names an unknown feature."""
    for kind, wanted in NAMES.items():
        for name in plugins.names(kind):
            _check(f"{kind}/{name}", wanted)


def _check(plugin: str, wanted: tuple[str, ...]) -> None:
    file = file_of(plugin)
    for name in wanted:
        if name not in defined(plugin):
            raise BallastError(f"{file}: it has no {name}; its folder's __init__.py states the contract")
    if not isinstance(seeded := constant(plugin, "SEEDED", False), bool):
        raise BallastError(f"{file}: SEEDED must be True or False, not {seeded!r}")
    known = [gives for gives, _ in NEEDED.values()]
    if "GIVES" in wanted and constant(plugin, "GIVES") not in known:
        raise BallastError(f"{file}: GIVES must be one of {sorted(set(known))}, not {constant(plugin, 'GIVES')!r}")
    if "UNIT" in wanted:
        _check_judge(plugin, file)
    needs = constant(plugin, "NEEDS", ())
    if not isinstance(needs, tuple):
        raise BallastError(f'{file}: NEEDS must be a tuple such as ("category",), not {needs!r}')
    for word in needs:
        if word not in FEATURES:
            raise BallastError(f"{file}: NEEDS: there is no '{word}'{plugins.nearest(str(word), list(FEATURES))}")


def _check_judge(plugin: str, file: str) -> None:
    unit, scale, direction = constant(plugin, "UNIT"), constant(plugin, "SCALE", None), constant(plugin, "DIRECTION")
    if not unit or not isinstance(unit, str):
        raise BallastError(f'{file}: UNIT must be "%" or a name such as "score", not {unit!r}')
    if direction not in ("lower", "higher", None):
        raise BallastError(f'{file}: DIRECTION must be "lower", "higher" or None, not {direction!r}')
    if unit == "%" and scale is not None:
        raise BallastError(f"{file}: SCALE must be left out with UNIT % (scores are 0 to 1), not {scale!r}")
    pair = isinstance(scale, tuple) and len(scale) == 2 and all(type(end) in (int, float) for end in scale)
    if scale is not None and not (pair and scale[0] < scale[1]):
        raise BallastError(f"{file}: SCALE must be the lowest and the highest score, such as (0, 4), not {scale!r}")


def declared(judge: str) -> dict:
    """Return a judge's declaration: `unit`, `scale` (None without bounds), `rule` (it reads the opening words)."""
    plugin = f"judges/{judge}"
    names = {"unit": "%", "scale": None, "rule": False}
    return {name: constant(plugin, name.upper(), absent) for name, absent in names.items()}


def check_options(place: str, judge: str, given: dict[str, str]) -> None:
    """Raise ValueError if a judge's plug-in does not offer an option, or not this value of it (OPTIONS)."""
    known = constant(f"judges/{judge}", "OPTIONS", {})
    for name, value in given.items():
        if name not in known:
            raise ValueError(f"{place}.options: {judge} has no '{name}'{plugins.nearest(name, list(known))}")
        if value not in known[name]:
            raise ValueError(f"{place}.options.{name}: give {' or '.join(known[name])}, not '{value}'")


def check_labeller(place: str, judge: str) -> None:
    """Raise ValueError if a judge's plug-in cannot label behaviour."""
    known = [name for name in plugins.names("judges") if constant(f"judges/{name}", "LABELS", False)]
    if judge not in known:
        raise ValueError(
            f"{place}: {judge} does not say whether a response refuses; give a judge of {', '.join(known)}"
        )


def languages(judge: str) -> list[str] | str:
    """Return the languages that a judge reads, which its plug-in's LANGUAGES names, or `any`; English without it."""
    found = constant(f"judges/{judge}", "LANGUAGES", ("en",))
    return found if found == "any" else list(found)


def scale(judge: str) -> tuple[float, float]:
    """Return the lowest and the highest mean of a judge's scores, in its unit; infinite without bounds."""
    known = declared(judge)
    return (0, 100) if known["unit"] == "%" else known["scale"] or (-math.inf, math.inf)


def direction(place: str, judge: str) -> str:
    """Return the better direction of a judge's scores; raise ValueError if the prompts decide, so the config must."""
    if found := constant(f"judges/{judge}", "DIRECTION"):
        return found
    raise ValueError(f"{place}.direction: {judge} counts refusals; say if higher or lower is better")


# The DIRECTION of a judge that can measure each of the four metrics, and whether the metric is a rate by its name.
FOUR = {
    "harm": ("lower", False),
    "asr": ("lower", True),
    "over_refusal": (None, True),
    "helpfulness": ("higher", False),
}


def check_metric(name: str, judge: str) -> None:
    """Raise ValueError if a judge's scores cannot be this one of the four metrics, with the judges whose scores can."""
    if why := _unfit(name, judge):
        fit = ", ".join(one for one in plugins.names("judges") if not _unfit(name, one))
        raise ValueError(f"metrics.{name}.judge: {judge} does not measure {name}, since {why}; these do: {fit}")


def _unfit(name: str, judge: str) -> str:
    """Return why a judge does not measure a metric; empty if it does."""
    (direction, rate), given = FOUR[name], constant(f"judges/{judge}", "DIRECTION")
    known = declared(judge)
    if given != direction:
        return f"of its scores {given} is better" if given else "it counts refusals"
    if rate and known["unit"] != "%":
        return "its scores are no rate in %"
    # Figures, thresholds and the default limit go by the scale of harm.
    unbounded = name == "harm" and known["unit"] != "%" and not known["scale"]
    return "it declares no SCALE" if unbounded else ""


def check_dataset(place: str, kind: str, reader: str, given: Collection[str]) -> None:
    """Raise BallastError if a reader does not give what a kind of dataset needs, or takes none of the keys `given`."""
    needed, said = NEEDED[kind]
    gives = constant(f"readers/{reader}", "GIVES")
    if gives != needed:
        fit = [name for name in plugins.names("readers") if constant(f"readers/{name}", "GIVES") == needed]
        near = plugins.nearest(reader, fit)
        raise BallastError(f"config: {place}: format {reader} gives {gives}, and {said} needs {needed}{near}")
    for key, names in TAKEN_BY.items():
        if key in given and not names & defined(f"readers/{reader}"):
            fit = [other for other in plugins.names("readers") if names & defined(f"readers/{other}")]
            raise BallastError(f"config: {place}.{key}: format {reader} takes none; these do: {', '.join(fit)}")
