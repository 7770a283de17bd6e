"""Methods: what the name in a run's `sampler` place stands for.

A sampler's name is a method by itself: the sampler, then the study's trainer. An entry of the config's `methods` puts
other parts in: a filter of the base data, another trainer, or a transform of the adapter that another method trained.
"""

from dataclasses import dataclass, field

from ballast import plugins
from ballast.identity import constant
from ballast.study import fine_tuning

NONE = "none"
KINDS = ("sampler", "filter", "trainer", "transform")
# Features that a model says of a pool: a sampler that reads one picks other rows for another model.
BY_MODEL = ("gradients", "base-gradients", "reference-gradients", "logprobs", "base-logprobs")


@dataclass(frozen=True)
class Method:
    """The parts of a method by plug-in name; `of` is the method whose adapter is transformed, or trained further on the
    task `then`, and which trains for it."""

    name: str
    sampler: str
    trainer: str
    filter: str | None = None
    transform: str | None = None
    of: str | None = None
    then: str | None = None
    given: dict = field(default_factory=dict)

    def options(self, kind: str) -> dict:
        """The options of one of its plug-ins (`sampler`, `trainer`, ...): what the config gives, else the default."""
        declared = declared_options(kind, getattr(self, kind))
        return {name: self.given.get(name, default) for name, (default, _) in declared.items()}

    def needs(self, kind: str) -> tuple[str, ...]:
        """The features that one of its plug-ins reads."""
        return plugin_constant(kind, getattr(self, kind), "NEEDS", ())

    @property
    def reads(self) -> set[str]:
        """The features that any of its plug-ins reads."""
        return {feature for kind in KINDS if getattr(self, kind) for feature in self.needs(kind)}

    @property
    def whole_pool(self) -> bool:
        """Whether the trainer gets the whole pool and picks from it itself."""
        return self.sampler == NONE and plugin_constant("trainer", self.trainer, "PICKS", False)

    @property
    def adds_rows(self) -> bool:
        """Whether it trains on safety examples, and so has an n."""
        return self.whole_pool or self.sampler != NONE

    @property
    def picker(self) -> str:
        """The name that its subsets go by: methods that ask a sampler for the same thing share them."""
        changed = set(self.given) & set(declared_options("sampler", self.sampler))
        return self.name if changed else self.sampler

    @property
    def picks_by_model(self) -> bool:
        return bool(set(self.needs("sampler")) & set(BY_MODEL))

    @property
    def seeded(self) -> bool:
        """Whether another trial sees other safety examples."""
        return self.whole_pool or constant(f"samplers/{self.sampler}", "SEEDED")

    @property
    def needs_pretrained(self) -> bool:
        """Whether its transform compares the model with the one that it was aligned from."""
        return plugin_constant("transform", self.transform, "PRETRAINED", False)

    def n(self, n: int) -> int:
        """How many rows its sampler picks in a run of n."""
        return 0 if self.sampler == NONE else n


def resolve(name: str, methods: dict[str, fine_tuning.Method], training: fine_tuning.Training) -> Method:
    """The method that a name stands for; a transform has the parts of the method whose adapter it takes."""
    section = methods.get(name)
    if section is None:
        return Method(name, name, training.trainer)
    if section.of:
        parts = resolve(section.of, methods, training)
        kept = {"sampler": parts.sampler, "trainer": parts.trainer, "filter": parts.filter}
        return Method(
            name, **kept, transform=section.transform, of=section.of, then=section.then, given=section.options
        )
    return Method(name, section.sampler, section.trainer or training.trainer, section.filter, given=section.options)


def check(methods: dict[str, fine_tuning.Method], training: fine_tuning.Training) -> None:
    """Raise ValueError, with the place in the config, where a method is not one."""
    samplers = plugins.names("samplers")
    for name, section in methods.items():
        place = f"methods.{name}"
        if name in samplers:
            raise ValueError(f"{place}: '{name}' is a sampler already; give the method another name")
        for kind in KINDS:
            plugin = getattr(section, kind)
            there = plugins.names(f"{kind}s")
            if plugin is not None and plugin not in there:
                raise ValueError(f"{place}.{kind}: no {kind} is called '{plugin}'{plugins.nearest(plugin, there)}")
        _check_of(name, methods, samplers)
        method = resolve(name, methods, training)
        own = ("transform",) if section.of else ("sampler", "filter", "trainer")
        known = {key: default for kind in own for key, default in declared(kind, getattr(method, kind)).items()}
        for key, value in section.options.items():
            if key not in known:
                raise ValueError(f"{place}.options: '{key}' is not an option{plugins.nearest(key, list(known))}")
            check_value(f"{place}.options.{key}", value, known[key])


def _check_of(name: str, methods: dict[str, fine_tuning.Method], samplers: list[str]) -> None:
    seen = [name]
    while section := methods.get(seen[-1]):
        if section.of is None:
            return
        if section.of not in methods and section.of not in samplers:
            known = [*methods, *samplers]
            raise ValueError(f"methods.{seen[-1]}.of: '{section.of}' is no method{plugins.nearest(section.of, known)}")
        if section.of in seen:
            raise ValueError(f"methods.{name}.of: {' of '.join([*seen, section.of])}, which never ends")
        seen.append(section.of)


def check_value(place: str, value, declared) -> None:
    """Raise ValueError where a value is not of the type of a plug-in's declared default, or not one of its choices."""
    if isinstance(declared, tuple):
        if value not in declared:
            raise ValueError(f"{place}: one of {', '.join(declared)} is wanted, got {value!r}")
        return
    wanted = (int, float) if type(declared) is float else type(declared)
    if not isinstance(value, wanted) or (isinstance(value, bool) and declared is not True and declared is not False):
        name = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[type(declared)]
        raise ValueError(f"{place}: {name} is wanted, got {value!r}")


def declared_options(kind: str, plugin: str | None) -> dict[str, tuple]:
    """Of a plug-in's options the default and the sentence, by name; of a choice the first word is the default."""
    found = plugin_constant(kind, plugin, "OPTIONS", {})
    return {
        name: (value[0] if isinstance(value, tuple) else value, sentence) for name, (value, sentence) in found.items()
    }


def declared(kind: str, plugin: str | None) -> dict[str, object]:
    """A plug-in's options as it declares them, by name: a default, or a tuple of choices."""
    return {name: value for name, (value, _) in plugin_constant(kind, plugin, "OPTIONS", {}).items()}


def plugin_constant(kind: str, plugin: str | None, name: str, absent):
    """A constant of a plug-in, or `absent` where there is no plug-in or it does not say."""
    return constant(f"{kind}s/{plugin}", name, absent) if plugin else absent
