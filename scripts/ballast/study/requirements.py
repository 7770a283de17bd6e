"""Name what the jobs of a planned study need of a machine: packages, and GPUs."""

from ballast.identity import constant
from ballast.study.fine_tuning import aligned_training
from ballast.study.plan import Plan
from ballast.study.sections import Generation, Judge, LanguageModel

# Rules that `training.tracking` follows, and all whose jobs load a model as training loads it.
TRACKED = ("train", "train_selecting", "train_on")
TRAINING = (*TRACKED, "align", "warm_up", "gradients", "logprobs", "filter")


def packages(plan: Plan) -> dict[str, set[str]]:
    """Return the packages that jobs of a rule import and that a smaller environment may lack, by rule."""
    study, judges = plan.study, plan.study.judges
    train = {"torch"} | ({"bitsandbytes"} if study.training.quantize or "bnb" in study.training.optim else set())
    asking = {
        "generate": [study.generation],
        "judge": [judges[name] for name in plan.judges_used],
        "behaviour": [judges[name] for name in plan.labelling_judges],
        "category": [plan.labelling],
        "rewrite": [study.rewriting and study.rewriting.model],
        "pairwise": plan.comparing,
    }
    loaded = {rule: [one for one in asked if _is_loaded(one)] for rule, asked in asking.items()}
    needed = {
        rule: {constant(f"backends/{one.backend}", "PACKAGE", None) for one in asked} | {*["torch"] * bool(asked)}
        for rule, asked in loaded.items()
    }
    needed["generate"] |= {"bitsandbytes"} if study.generation.quantize else set()
    needed["embed"] = set() if study.embedding.model == "minilm" else {"sentence_transformers"}
    plain = dict.fromkeys(("world_model", "world_judge", "transform", "merge", "doctor"), {"torch"})
    tracked = dict.fromkeys(TRACKED, train | ({study.training.tracking} - {None}))
    found = {rule: packages - {None} for rule, packages in needed.items()}
    return found | dict.fromkeys(TRAINING, train) | tracked | plain


def gpus(plan: Plan) -> dict[str, str]:
    """Return the number of GPUs of a rule's jobs, if it is not 1 for all: an expression of the job's wildcards."""
    study = plan.study
    aligned = {name: aligned_training(study.training, model.aligned).gpus for name, model in plan.aligned.items()}
    judges = {name: study.judges[name].tensor_parallel for name in plan.judges_used}
    compared = {name: each.model.tensor_parallel for name, each in study.pairwise.items() if each.model}
    labelled = {pool: judges.get(plan.labeller(pool), 1) for pool in plan.pools_used}
    one = {rule: study.training.gpus for rule in TRAINING} | {"generate": study.generation.tensor_parallel}
    one["category"] = plan.labelling.tensor_parallel if plan.labelling else 1
    one["rewrite"] = study.rewriting.model.tensor_parallel if study.rewriting else 1
    by = {"align": ("model", aligned), "judge": ("judge", judges), "pairwise": ("pairwise", compared)}
    by["behaviour"] = ("pool", labelled)
    found = {rule: str(number) for rule, number in one.items() if number > 1 and rule not in by}
    for rule, (wildcard, numbers) in by.items():
        several = {name: number for name, number in numbers.items() if number > 1}
        if several:
            found[rule] = f"{several}.get(wildcards.{wildcard}, 1)"
    return found


def _is_loaded(one: Generation | Judge | LanguageModel | None) -> bool:
    """Return whether a section names a model to load; a rule and an endpoint do not."""
    return isinstance(one, Generation) or bool(one and (one.world or one.path or one.source))
