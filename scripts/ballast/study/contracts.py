"""Check that the file of each plug-in keeps the contract of its kind, without importing it.

`study.artefacts` checks tables and figures.
"""

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
    "judges": ("judge", "CANARIES"),
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
    needs = constant(plugin, "NEEDS", ())
    if not isinstance(needs, tuple):
        raise BallastError(f'{file}: NEEDS must be a tuple such as ("category",), not {needs!r}')
    for word in needs:
        if word not in FEATURES:
            raise BallastError(f"{file}: NEEDS: there is no '{word}'{plugins.nearest(str(word), list(FEATURES))}")


def check_dataset(place: str, kind: str, reader: str, given: Collection[str]) -> None:
    """Raise BallastError if a reader does not give what a kind of dataset needs, or takes none of the keys `given`."""
    needed, said = NEEDED[kind]
    gives = constant(f"readers/{reader}", "GIVES")
    if gives != needed:
        fit = [name for name in plugins.names("readers") if constant(f"readers/{name}", "GIVES") == needed]
        near = plugins.nearest(reader, fit)
        raise BallastError(f"config: {place}: format {reader} gives {gives}, and {said} needs {needed}{near}")
    for key, name in (("columns", "FORM"), ("where", "FORM"), ("prompts", "PROMPTS")):
        if key in given and name not in defined(f"readers/{reader}"):
            fit = [other for other in plugins.names("readers") if name in defined(f"readers/{other}")]
            raise BallastError(f"config: {place}.{key}: format {reader} takes none; these do: {', '.join(fit)}")
