"""Check that the file of each plug-in keeps the contract of its kind, without importing it.

`study.artefacts` checks tables and figures.
"""

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
    "readers": ("read",),
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
    needs = constant(plugin, "NEEDS", ())
    if not isinstance(needs, tuple):
        raise BallastError(f'{file}: NEEDS must be a tuple such as ("category",), not {needs!r}')
    for word in needs:
        if word not in FEATURES:
            raise BallastError(f"{file}: NEEDS: there is no '{word}'{plugins.nearest(str(word), list(FEATURES))}")
