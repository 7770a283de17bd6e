"""Write what explains a study's numbers: a methods paragraph, the config in full, software versions."""

import importlib.metadata
import platform

import yaml
from tabulate import tabulate

from ballast.names import short_label
from ballast.results.metrics import METRICS, measured_by
from ballast.study import contracts
from ballast.study.config import Study

BASE_WEIGHTS = {None: "", "int8": ", base weights in 8 bits", "nf4": ", base weights in 4 bits (QLoRA, nf4)"}
PAPER = "How to Fine-Tune Safely on a Budget (arXiv 2510.21885)"


def methods(study: Study) -> str:
    """Return a paragraph for a paper's methods section, in the words of this study's config."""
    experiments = {name: grid for name, grid in study.experiments if grid}
    named = {name for grid in experiments.values() for name in grid.metrics}
    parts = [
        *_fine_tuned(study, experiments),
        f"Responses were decoded {_decoding(study)}.",
        *(
            _metric(
                measured_by(METRICS[name], contracts.declared(study.plugin(metric.judge)))
                if name in METRICS
                else metric,
                metric,
            )
            for name, metric in study.every_metric.items()
            if name in METRICS or name in named
        ),
        *_intervals(study, experiments),
    ]
    if study.synthetic:
        parts.append("Models and language were made for this study; its numbers say nothing of other models.")
    return "# Methods\n\n" + " ".join(parts) + "\n"


def _fine_tuned(study: Study, experiments: dict) -> list[str]:
    """Return how subsets were picked and models fine-tuned, or that none was."""
    if not experiments:
        return [f"Measured without fine-tuning: {_listed(_models(study))}."]
    sampled = study.experiments.sampling or next(iter(experiments.values()))
    samplers = _listed([short_label(name) for name in sampled.samplers if name != "none"] or ["no sampler"])
    return [
        f"Safety examples were picked from a pool by {samplers} at n = {_listed(sorted(sampled.n))}",
        f"(samplers and labels as in {PAPER}).",
        f"Behaviour was labelled by {study.labels.behaviour}, harm category by {_labeller(study)};",
        f"rows were embedded by {study.embedding.model}.",
        f"Base data and subset were mixed to fine-tune {_listed(_models(study))}: {_training(study)}.",
    ]


def _intervals(study: Study, experiments: dict) -> list[str]:
    if not experiments:
        return ["Intervals are two-sided, 95 %, over prompts."]
    sampled = study.experiments.sampling or next(iter(experiments.values()))
    return [
        f"Each cell has {_trials(sampled)}; trials of one number share their seeds over all samplers.",
        "Intervals are two-sided, 95 %: over runs and prompts by a two-way bootstrap,",
        "or over runs by Student's t where a table says so; contrasts are corrected by Holm's method.",
    ]


def software() -> str:
    """Return every installed distribution and its version; manifests repeat those that can change bytes."""
    found = {each.metadata["Name"]: each.version for each in importlib.metadata.distributions()}
    rows = [("Python", platform.python_version()), *sorted(found.items(), key=lambda item: item[0].lower())]
    return f"# Software\n\n{tabulate(rows, ['package', 'version'], tablefmt='pipe', disable_numparse=True)}\n"


def config(study: Study) -> str:
    """Return the config with every default filled in."""
    text = yaml.safe_dump(study.model_dump(mode="json", exclude_none=True), sort_keys=False, allow_unicode=True)
    return f"# Config\n\n```yaml\n{text}```\n"


def _listed(items) -> str:
    *first, last = [str(item) for item in items]
    return f"{', '.join(first)} and {last}" if first else last


def _models(study: Study) -> list[str]:
    named = {model for _, grid in study.experiments if grid for model in grid.models} or set(study.measured_as_is)
    return [model.label or name for name, model in study.models.items() if name in named]


def _labeller(study: Study) -> str:
    labellers = {"llm": "a language model", "cossim": "the nearest reference set"}
    labellers["clusters"] = "k-means clusters of the embeddings"
    return labellers.get(str(study.labels.category)) or str(study.labels.category)


def _training(study: Study) -> str:
    training, lora = study.training, study.training.lora
    learnt = "prompt and response" if training.train_on_prompt else "the response alone"
    said = [
        "all weights trained"
        if training.full
        else f"LoRA of rank {lora.r} (alpha {lora.lora_alpha}, dropout {lora.lora_dropout:g})"
        f" on {_listed(lora.target_modules)}",
        f"{training.num_train_epochs} epochs in batches of {training.batch_size} rows",
        f"AdamW ({training.optim}) with betas {training.adam_beta1:g} and {training.adam_beta2:g}",
        f"a peak learning rate of {training.learning_rate:g} after {training.warmup_steps} steps of warm-up,"
        f" {training.lr_scheduler_type} schedule",
        f"rows cut at {training.max_length} tokens",
        f"loss on {learnt}",
        f"{training.dtype} arithmetic" + BASE_WEIGHTS[training.quantize],
    ]
    if training.validation_rows:
        said.append(f"the epoch with the lowest loss on {training.validation_rows} held-out rows kept")
    return "; ".join(said)


def _decoding(study: Study) -> str:
    generation = study.generation
    how = "greedily" if generation.decoding == "greedy" else "with four beams"
    return f"{how} by {generation.backend}, at most {generation.max_new_tokens} tokens"


def _metric(known, metric) -> str:
    return f"{known.label} ({known.unit}) is judged by {metric.judge} on {metric.benchmark}."


def _trials(grid) -> str:
    once = grid.deterministic_trials
    aside = f" ({once} where a sampler always picks the same)" if once and once != grid.trials else ""
    return f"{grid.trials} trial{'s' if grid.trials > 1 else ''}{aside}"
