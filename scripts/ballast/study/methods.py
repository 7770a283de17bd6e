"""Resolve methods: the names that a run's `sampler` may hold.

A sampler's name is a method by itself: the sampler, among all rows or those of one behaviour, then the study's trainer.
An entry of the config's `methods` replaces parts: a filter of the base data, another trainer, or a transform of the
adapter that another method trained.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ballast import plugins, samplers
from ballast.files import BallastError
from ballast.identity import constant
from ballast.names import AS_IS
from ballast.study.fine_tuning import MethodSection, Training
from ballast.study.sections import Sampling

NONE = "none"
KINDS = ("sampler", "filter", "trainer", "transform")
_NAMED_IN_METHODS = (
    "name it in a method, with 'of' and 'sampler', such as {of: none, sampler: random-b, trainer: patch}"
)
# Features that a model computes: a sampler that reads one picks different rows for different models.
BY_MODEL = ("gradients", "base-gradients", "reference-gradients", "logprobs", "base-logprobs")


@dataclass(frozen=True)
class Method:
    """The parts of a method, by plug-in name. `of`: the method whose adapter it transforms, or trains further on the
    task `then` or on the rows that its own sampler picks; that method trains the adapter.

    among: the behaviour of the rows to pick from; None for all. asked: the sampler as the config spells it, such as
    sss-b. given, shared: options of the method itself, and values of the config's `sampling`, which these override.
    """

    name: str
    sampler: str
    trainer: str
    among: str | None
    asked: str
    filter: str | None = None
    transform: str | None = None
    of: str | None = None
    then: str | None = None
    given: dict = field(default_factory=dict)
    shared: dict = field(default_factory=dict)

    def options(self, kind: str) -> dict:
        """Return the options that one of its plug-ins declares: what the config gives, else the default."""
        given = (self.shared if kind == "sampler" else {}) | self.given
        known = defaults(kind, getattr(self, kind), self.among)
        return {name: given.get(name, default) for name, default in known.items()}

    def needs(self, kind: str) -> tuple[str, ...]:
        """Return the features that one of its plug-ins reads."""
        if kind == "sampler":
            return sampler_needs(self.sampler, self.among)
        return plugin_constant(kind, getattr(self, kind), "NEEDS", ())

    @property
    def rule(self) -> str:
        """The picking rule, in words for a card."""
        return f"{self.sampler} among {self.among}" if self.among else self.sampler

    @property
    def reads(self) -> set[str]:
        """The features that any of its plug-ins reads."""
        return {feature for kind in KINDS if getattr(self, kind) for feature in self.needs(kind)}

    @property
    def patches(self) -> bool:
        """Return whether it trains the adapter of `of` further, on the rows that its own sampler picks."""
        return bool(self.of) and not (self.transform or self.then)

    @property
    def whole_pool(self) -> bool:
        """Return whether the trainer gets the whole pool and picks from it itself."""
        return self.sampler == NONE and plugin_constant("trainer", self.trainer, "PICKS", False)

    @property
    def adds_rows(self) -> bool:
        """Return whether it trains on safety examples, and so has an n."""
        return self.whole_pool or self.sampler != NONE

    @property
    def picker(self) -> str:
        """The name of its subsets; methods with the same sampler and options share them."""
        changed = set(self.given) & set(declared("sampler", self.sampler, self.among))
        return self.name if changed else self.asked

    @property
    def picks_by_model(self) -> bool:
        return bool(set(self.needs("sampler")) & set(BY_MODEL))

    @property
    def seeded(self) -> bool:
        """Return whether its safety examples differ between trials."""
        return self.whole_pool or constant(f"samplers/{self.sampler}", "SEEDED")

    @property
    def needs_pretrained(self) -> bool:
        """Return whether its transform compares the model with the one that it was aligned from."""
        return plugin_constant("transform", self.transform, "PRETRAINED", False)

    def n(self, n: int) -> int:
        """Return the number of rows that its sampler picks in a run of n."""
        return 0 if self.sampler == NONE else n


def resolve(name: str, methods: Mapping[str, MethodSection], training: Training, sampling: Sampling) -> Method:
    """Return the method of a name; a transform or second task has the parts of the method whose adapter it takes.

    Raises BallastError if the name is neither a method's nor a sampler's.
    """
    section = methods.get(name) or MethodSection(sampler=name)
    if section.of and not section.trainer:
        parts = resolve(section.of, methods, training, sampling)
        own = {"transform": section.transform, "of": section.of, "then": section.then, "given": section.options}
        return replace(parts, name=name, **own)
    if section.sampler not in samplers.names():
        raise BallastError(f"no sampler is called '{section.sampler}'{samplers.nearest(section.sampler, methods)}")
    sampler, among = samplers.split(section.sampler)
    return Method(
        name,
        sampler,
        section.trainer or training.trainer,
        section.among or among,
        samplers.join(section.sampler, section.among),
        section.filter,
        of=section.of,
        given=section.options,
        shared=sampling.model_dump(),
    )


def check(methods: Mapping[str, MethodSection], training: Training, sampling: Sampling) -> None:
    """Raise ValueError, with the place in the config, if a method is invalid."""
    for name, section in methods.items():
        place = f"methods.{name}"
        if name in samplers.names():
            raise ValueError(f"{place}: '{name}' is a sampler already; give the method another name")
        if name == AS_IS:
            raise ValueError(f"{place}: '{name}' means a model without fine-tuning; give the method another name")
        if (plain := name.translate(str.maketrans("._", "--"))) != name:
            raise ValueError(f"{place}: a method's name has no '.' and no '_'; write '{plain}'")
        if section.sampler not in samplers.names():
            said = samplers.nearest(section.sampler)
            raise ValueError(f"{place}.sampler: no sampler is called '{section.sampler}'{said}")
        if section.among and section.sampler not in samplers.with_forms():
            sampler, among = samplers.split(section.sampler)
            already = f"picks among {among} already; did you mean '{sampler}'?"
            never = f"picks no rows of a behaviour{plugins.nearest(section.sampler, samplers.with_forms())}"
            raise ValueError(f"{place}.among: sampler '{section.sampler}' {already if among else never}")
        for kind in ("filter", "trainer", "transform"):
            plugin = getattr(section, kind)
            there = plugins.names(f"{kind}s")
            if plugin is not None and plugin not in there:
                raise ValueError(f"{place}.{kind}: no {kind} is called '{plugin}'{plugins.nearest(plugin, there)}")
    if _further(training.trainer):
        raise ValueError(f"training.trainer: {training.trainer} trains a finished adapter; {_NAMED_IN_METHODS}")
    for name, section in methods.items():
        place = f"methods.{name}"
        _check_of(name, methods)
        method = resolve(name, methods, training, sampling)
        if section.trainer:
            _check_further(place, section, method, methods, training, sampling)
        own = ("sampler", "filter", "trainer") if section.trainer or not section.of else ("transform",)
        known: dict[str, object] = {}
        for kind in own:
            known |= declared(kind, getattr(method, kind), method.among)
        for key, value in section.options.items():
            if key not in known:
                raise ValueError(f"{place}.options: '{key}' is not an option{plugins.nearest(key, list(known))}")
            check_value(f"{place}.options.{key}", value, known[key])


def _further(trainer: str) -> bool:
    """Return whether a trainer trains the adapter of another method further."""
    return plugin_constant("trainer", trainer, "FURTHER", False)


def _check_further(place: str, section: MethodSection, method: Method, *known) -> None:
    """Raise ValueError if `of`, sampler and trainer do not go together; `known`: what `resolve` reads."""
    if _further(method.trainer) != bool(section.of):
        wrong = (
            "trains a new adapter; leave out 'of'" if section.of else f"trains a finished adapter; {_NAMED_IN_METHODS}"
        )
        raise ValueError(f"{place}.trainer: {section.trainer} {wrong}")
    if section.of and method.sampler == NONE:
        raise ValueError(f"{place}.sampler: {section.trainer} trains on the rows that a sampler picks; name one")
    if section.of and resolve(section.of, *known).adds_rows:
        raise ValueError(
            f"{place}.of: '{section.of}' adds safety examples itself, so n would count two things; name a method "
            "without any, such as none"
        )


def _check_of(name: str, methods: Mapping[str, MethodSection]) -> None:
    seen = [name]
    while section := methods.get(seen[-1]):
        if section.of is None:
            return
        if section.of not in methods and section.of not in samplers.names():
            raise ValueError(
                f"methods.{seen[-1]}.of: '{section.of}' is no method{samplers.nearest(section.of, methods)}"
            )
        if section.of in seen:
            raise ValueError(f"methods.{name}.of: {' of '.join([*seen, section.of])}, which never ends")
        seen.append(section.of)


def sampler_needs(sampler: str, among: str | None) -> tuple[str, ...]:
    """Return the features that a sampler reads; among one behaviour it needs the labels too."""
    needs = plugin_constant("sampler", sampler, "NEEDS", ())
    return ("behaviour", *needs) if among and "behaviour" not in needs else needs


def check_value(place: str, value, declared) -> None:
    """Raise ValueError if a value lacks the type of a plug-in's declared default, or is not one of its choices."""
    if isinstance(declared, tuple):
        if value not in declared:
            raise ValueError(f"{place}: one of {', '.join(declared)} is wanted, got {value!r}")
        return
    wanted = (int, float) if type(declared) is float else type(declared)
    if not isinstance(value, wanted) or (isinstance(value, bool) and declared is not True and declared is not False):
        name = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[type(declared)]
        raise ValueError(f"{place}: {name} is wanted, got {value!r}")


def declared(kind: str, plugin: str | None, among: str | None = None) -> dict[str, object]:
    """Return a plug-in's declared options, by name: a default, or a tuple of choices.

    A sampler that picks `among` one behaviour may have more options, or other defaults.
    """
    found = plugin_constant(kind, plugin, "OPTIONS", {})
    if kind == "sampler" and among:
        found = found | plugin_constant(kind, plugin, "AMONG", {})
    return {name: value for name, (value, _) in found.items()}


def defaults(kind: str, plugin: str | None, among: str | None = None) -> dict[str, object]:
    """Return the default of each option of a plug-in; the first of its choices is the default."""
    found = declared(kind, plugin, among)
    return {name: value[0] if isinstance(value, tuple) else value for name, value in found.items()}


def plugin_constant(kind: str, plugin: str | None, name: str, absent):
    """Return a constant of a plug-in, or `absent` without a plug-in or the constant."""
    return constant(f"{kind}s/{plugin}", name, absent) if plugin else absent
