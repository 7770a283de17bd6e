"""DualSelect: the references that the task harms most steer each step; task rows that harm them most are left out.

DualSelect (arXiv 2606.09866), an online trainer: base rows are the task, the pool's (or the subset's) rows are
references. `warm_up` steps train on the task alone and give its direction d, the mean task gradient. Then, and again at
the start of every epoch with the d of the previous epoch, the trainer chooses new references: a reference's score is
`reference_loss_weight` * loss - `conflict_weight` * cos(gradient, d), the highest are kept, and g_ref is the gradient
of their weighted mean loss. In each step a row's score is `task_loss_weight` * loss - `conflict_weight` *
cos(gradient, g_ref), the lowest are kept until `budget` of the learnt tokens is reached, and their gradient g becomes
g + rho * g_ref.

As released: cross-entropy of the response as reference loss, weights 1, rho 0.2, hard choices, temperature 0.1, budget
0.9, a stale g_ref for the whole epoch, clipping after the correction. Deviations:
- the number of chosen references is the run's n, so that methods compare at equal n; `references: 0.1` is the
  publication's tenth of the pool;
- rows count by their tokens: with all rows kept and no correction this equals plain training, to the bit;
- the token budget holds in each step (the release states it and keeps half of each batch);
- losses and cosines are computed without dropout (the release leaves it on): if an adapter has dropout, this takes a
  second pass over each step's rows;
- the learning rate follows `training` (the release has no schedule);
- `selection: entropy` caps each weight at the hard choice's, so that temperature 0 gives the hard choice; the release
  uses `softmax`;
- references that share a prompt with a task row are left out and counted. Benchmark prompts are unknown here: the
  config must keep them apart.
"""

import hashlib
import math
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from transformers import Trainer

from ballast.asking.loading import load_tokenizer
from ballast.files import BallastError, read_parquet, write_parquet
from ballast.training import checkpoints, fit, packing, per_example, weighing

PICKS = True
SELECTS = True
OPTIONS = {
    "warm_up": (10, "Steps on the task alone before references are chosen; at least 1."),
    "references": (0.0, "Share of the references that is chosen at each refresh; 0 chooses as many as the run's n."),
    "budget": (0.9, "Share of a step's learnt tokens that is kept, above 0, at most 1."),
    "selection": (
        ("hard", "softmax", "entropy"),
        "Weights of references and task rows: the best alike, as released by softmax, or capped at the hard choice's.",
    ),
    "temperature": (0.1, "Temperature of softmax and entropy; higher is more even."),
    "reference_loss_weight": (1.0, "Weight of the loss in a reference's score."),
    "task_loss_weight": (1.0, "Weight of the loss in a task row's score."),
    "conflict_weight": (1.0, "Weight of the cosine of gradients in both scores."),
    "correction": (("additive", "projection", "none"), "How the references' gradient changes a step's."),
    "rho": (0.2, "Weight of the references' gradient in the additive correction."),
}
TENSORS, TABLE = "dualselect.safetensors", "dualselect.parquet"
# The log's columns for each scored row. `step` counts the steps before it.
COLUMNS = ("epoch", "step", "kind", "id", "tokens", "loss", "cosine", "score", "weight", "kept")


def train(
    model: str,
    rows: pd.DataFrame,
    options: dict,
    seed: int,
    out: str | Path,
    partial: checkpoints.Partial | None = None,
    features=None,
) -> dict:
    """Train one adapter on the base rows; the log has `selection`, one entry (`COLUMNS`) per score of a row.

    Raises BallastError, and writes nothing, if an option is out of range, if there are fewer references than to choose,
    or if a score is not a number.
    """
    _check(options)
    task, pool = rows[rows["origin"] == "base"], rows[rows["origin"] != "base"]
    shared = _prompts(pool).isin(set(_prompts(task)))
    apart = pool[~shared].sort_values("id", ignore_index=True)
    # References preserve responses, so only these are learnt, whatever the task trains on.
    every = fit.encoded(load_tokenizer(model), apart, options | {"train_on_prompt": False})
    taught = fit.answers_learnt(apart, every, options)
    examples = fit.learnable(every, options) if every else []
    chosen = math.ceil(options["references"] * len(examples)) if options["references"] else options["n"]
    if not 0 < chosen <= len(examples):
        raise BallastError(
            f"dualselect: cannot choose {chosen} of {len(examples)} references ({shared.sum()} of {len(pool)} share a "
            "prompt with the base data and are left out); set n, or references, within them"
        )
    bound = {"references": examples, "reference_ids": apart["id"].tolist(), "chosen": chosen}
    variant = type("DualSelect", (DualSelect,), bound)
    task = task.reset_index(drop=True)
    log = fit.fit(model, task, options, seed, out, partial, features, variant)
    if taught["ids_without_answer"]:
        log |= {name: log[name] | part if isinstance(part, dict) else part for name, part in taught.items()}
    return log | {"references": len(examples), "references_in_base": int(shared.sum()), "chosen": chosen}


def _check(options: dict) -> None:
    problems = {
        f"warm_up {options['warm_up']} is not at least 1": options["warm_up"] < 1,
        f"references {options['references']} is not a share": not 0 <= options["references"] <= 1,
        f"budget {options['budget']} is not above 0 and at most 1": not 0 < options["budget"] <= 1,
        f"temperature {options['temperature']} is not above 0": not options["temperature"] > 0,
        f"correction {options['correction']} is none of {', '.join(OPTIONS['correction'][0])}": (
            options["correction"] not in OPTIONS["correction"][0]
        ),
        f"selection {options['selection']} is none of {', '.join(weighing.MODES)}": (
            options["selection"] not in weighing.MODES
        ),
        "training.dtype float16 scales gradients; take bfloat16": options["dtype"] == "float16",
    }
    for problem, found in problems.items():
        if found:
            raise BallastError(f"dualselect: {problem}")


def _prompts(rows: pd.DataFrame) -> pd.Series:
    """Return a digest of each row's prompt, ignoring case and repeated spaces."""

    def normal(instruction: str, context: str) -> str:
        return hashlib.sha256(" ".join(f"{instruction} {context}".casefold().split()).encode()).hexdigest()

    pairs = zip(rows["instruction"], rows["input"], strict=True)
    return pd.Series([normal(*pair) for pair in pairs], index=rows.index, dtype=object)


class DualSelect(fit.Variant):
    """A Trainer that reads each row's gradient from training's own pass, and changes the step's gradient."""

    references: list[dict]
    reference_ids: list[str]
    chosen: int

    def begin(self, rows: pd.DataFrame, examples: list[dict], options: dict, seed: int, features) -> None:
        self.options, self.rows, self.table = options, rows, []
        self.learnt = per_example.weights(self.model)
        if options["warm_up"] >= math.ceil(len(examples) / options["batch_size"]) * options["num_train_epochs"]:
            raise BallastError(f"dualselect: warm_up {options['warm_up']} leaves no step; lower it, or train longer")
        # The sum and the number of task gradients since the last refresh.
        self.sum = {name: torch.zeros_like(weight) for name, weight in self.learnt.items()}
        self.steps = 0
        self.reference: dict[str, torch.Tensor] = {}
        self.refreshed = -1
        self.plain_collator = self.data_collator
        self.data_collator = self._collate
        self.blockwise = options["packing"] and packing.has_plain_head(packing.plain(self.model))
        self.noisy = _has_dropout(self.model)
        self._clear()

    def _collate(self, examples: list[dict]) -> dict:
        return self.plain_collator(examples) | {"row": torch.tensor([example["row"] for example in examples])}

    def _clear(self) -> None:
        """Forget the step's rows: numbers, tokens, losses, dots, norms and gradients, by micro-batch."""
        self.found: list[dict[str, torch.Tensor]] = []
        self.gradients: dict[str, list[torch.Tensor]] = {name: [] for name in self.learnt}

    def training_step(self, model, inputs, num_items_in_batch=None):
        inputs = self._prepare_inputs(inputs)
        epoch = int(self.state.epoch or 0)
        if not self.found and self.state.global_step >= self.options["warm_up"] and self.refreshed != epoch:
            self.refresh(epoch)
        if self.refreshed < 0:
            loss = super().training_step(model, inputs, num_items_in_batch)
        else:
            loss = self._scored_step(model, inputs, num_items_in_batch)
        if self.accelerator.sync_gradients:  # the last micro-batch of the step
            if self.found:
                self.choose(epoch)
            for name, weight in self.learnt.items():
                self.sum[name] += weight.grad
            self.steps += 1
            if self.found:
                self.correct()
            self._clear()
        return loss

    def _scored_step(self, model, inputs, num_items_in_batch):
        """Run training's own pass, and keep each row's gradient and, without dropout, its scores."""
        scores = per_example.Scores(self.reference)
        batch = {name: value for name, value in inputs.items() if name != "row"}
        found = {"row": inputs["row"], "tokens": per_example.Rows(batch).counts(batch["labels"])}

        def use(name: str, gradient: torch.Tensor) -> None:
            self.gradients[name].append(gradient)
            if not self.noisy:
                scores.add(name, gradient)

        if self.noisy:
            with self.accelerator.autocast():
                found |= per_example.rows_scores(model, batch, self.reference)
        with per_example.watching(model, batch, use):
            loss = super().training_step(model, inputs, num_items_in_batch)
        if not self.noisy:
            found |= {"loss": self.losses, "dot": scores.dot, "norm": scores.norm()}
        self.found.append(found)
        return loss

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """Compute plain training's loss, operation for operation; keep the rows' losses in `self.losses`."""
        inputs.pop("row", None)
        if return_outputs or not model.training:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        batch = dict(inputs)
        if self.blockwise:
            with self.accelerator.autocast():
                losses = per_example.token_losses(model, batch)
            loss = packing.summed(losses) / num_items_in_batch
        else:
            loss, outputs = Trainer.compute_loss(self, model, inputs, True, num_items_in_batch)
            losses = per_example.logit_losses(outputs.logits.detach(), batch["labels"])
        self.losses = per_example.Rows(batch).means(losses.detach(), batch["labels"])
        return loss

    def refresh(self, epoch: int) -> None:
        """Choose the references for the task gradients since the last refresh; keep only numbers of the others."""
        direction = {name: total / self.steps for name, total in self.sum.items()}
        length = _norm(direction)
        loss, cosine = (np.empty(len(self.references)) for _ in range(2))
        for positions, batch in self._batches(self.references):
            with self.accelerator.autocast():
                found = per_example.rows_scores(self.model, batch, direction)
            loss[positions] = found["loss"].double().cpu().numpy()
            cosine[positions] = _cosines(found["dot"], found["norm"], length)
        score = self.options["reference_loss_weight"] * loss - self.options["conflict_weight"] * cosine
        ids = [self.reference_ids[example["row"]] for example in self.references]
        weights = self._weigh("reference", ids, score, np.ones(len(ids)), self.chosen)
        self._note(epoch, "reference", ids, np.ones(len(ids)), loss, cosine, score, weights)
        self.reference = {name: torch.zeros_like(total) for name, total in self.sum.items()}
        kept = np.flatnonzero(weights)
        for positions, batch in self._batches([self.references[at] for at in kept]):
            shares = torch.tensor(weights[kept[positions]], dtype=torch.float32, device=self.args.device)
            with self.accelerator.autocast():
                gradient = per_example.summed_gradient(self.model, batch, shares)
            for name, value in gradient.items():
                self.reference[name] += value
        self.refreshed, self.steps = epoch, 0
        for total in self.sum.values():
            total.zero_()

    def _batches(self, examples: list[dict]):
        return per_example.batches(
            examples, self.args.per_device_train_batch_size, self.plain_collator, self.args.device
        )

    def choose(self, epoch: int) -> None:
        """Reduce the step's gradient to that of the kept rows."""
        found = {name: torch.cat([part[name] for part in self.found]) for name in self.found[0]}
        loss, tokens = (found[name].double().cpu().numpy() for name in ("loss", "tokens"))
        cosine = _cosines(found["dot"], found["norm"], _norm(self.reference))
        score = self.options["task_loss_weight"] * loss - self.options["conflict_weight"] * cosine
        ids = self.rows["id"].to_numpy()[found["row"].cpu().numpy()].tolist()
        weights = self._weigh("task", ids, -score, tokens, self.options["budget"] * tokens.sum())
        self._note(epoch, "task", ids, tokens, loss, cosine, score, weights)
        if self.options["budget"] == 1 and self.options["selection"] != "softmax":
            return  # every row has its share of the tokens already
        # A row's gradient is already scaled by its share of all tokens, as in the loss.
        scale = torch.tensor(
            weights * tokens.sum() / np.maximum(tokens, 1), dtype=torch.float32, device=self.args.device
        )
        for name, parts in self.gradients.items():
            gradient = torch.tensordot(scale, torch.cat(parts), dims=1)
            self.learnt[name].grad.copy_(gradient)

    def correct(self) -> None:
        """Add the references' gradient, or remove the part of the step's gradient that opposes it."""
        way = self.options["correction"]
        if way == "none":
            return
        factor = self.options["rho"]
        if way == "projection":
            along = sum((self.reference[name] * weight.grad).sum() for name, weight in self.learnt.items())
            length = _norm(self.reference)
            factor = max(0.0, -float(along)) / length**2 if length else 0.0
        if factor:
            for name, weight in self.learnt.items():
                weight.grad.add_(self.reference[name].to(weight.grad), alpha=factor)

    def _weigh(self, kind: str, ids: list[str], scores: np.ndarray, sizes: np.ndarray, budget: float) -> np.ndarray:
        bad = np.flatnonzero(~np.isfinite(scores))
        if len(bad):
            raise BallastError(
                f"dualselect: the score of {kind} row {ids[bad[0]]} is not a number at step {self.state.global_step}; "
                "lower training.learning_rate, or check training.dtype"
            )
        return weighing.weigh(
            scores, sizes, ids, budget, mode=self.options["selection"], temperature=self.options["temperature"]
        )

    def _note(self, epoch: int, kind: str, ids: list[str], *columns: np.ndarray) -> None:
        for row_id, tokens, loss, cosine, score, weight in zip(ids, *(c.tolist() for c in columns), strict=True):
            values = (epoch, self.state.global_step, kind, row_id, int(tokens), loss, cosine, score, weight, weight > 0)
            self.table.append(dict(zip(COLUMNS, values, strict=True)))

    def measured(self) -> dict:
        """Return the log's own part: the numbers of rows and tokens kept after the warm-up, and every score."""
        task = [row for row in self.table if row["kind"] == "task"]
        kept = [row for row in task if row["kept"]]
        return {
            "refreshes": len({row["step"] for row in self.table if row["kind"] == "reference"}),
            "distinct_references": len({row["id"] for row in self.table if row["kind"] == "reference" and row["kept"]}),
            "rows_scored": len(task),
            "rows_kept": len(kept),
            "tokens_scored": sum(row["tokens"] for row in task),
            "tokens_kept": sum(row["tokens"] for row in kept),
            "selection": self.table,
        }

    def save(self, folder: Path) -> None:
        state = {f"sum {name}": value for name, value in self.sum.items()}
        state |= {f"reference {name}": value for name, value in self.reference.items()}
        save_file(state | {"counts": torch.tensor([self.steps, self.refreshed])}, folder / TENSORS)
        write_parquet(folder / TABLE, pd.DataFrame(self.table, columns=COLUMNS))

    def load(self, folder: Path) -> None:
        state = load_file(folder / TENSORS, device=str(self.args.device))
        self.steps, self.refreshed = state.pop("counts").tolist()
        for name, value in state.items():
            kind, weight = name.split(" ", 1)
            {"sum": self.sum, "reference": self.reference}[kind][weight] = value
        self.table = read_parquet(folder / TABLE).to_dict("records")


def _has_dropout(network) -> bool:
    layers = any(type(layer) is torch.nn.Dropout and layer.p > 0 for layer in network.modules())
    return layers or bool(getattr(network.config, "attention_dropout", 0))


def _norm(gradient: dict[str, torch.Tensor]) -> float:
    return math.sqrt(sum(float(value.double().square().sum()) for value in gradient.values()))


def _cosines(dot: torch.Tensor, norm: torch.Tensor, length: float) -> np.ndarray:
    """Return cosines [rows]; 0 if either norm is 0. NaN stays NaN."""
    dot, norm = dot.double().cpu().numpy(), norm.double().cpu().numpy() * length
    return np.divide(dot, norm, out=np.zeros_like(dot), where=norm != 0)
