"""constrained-sft: keeps a response's first tokens near the aligned model (Qi et al., arXiv 2406.05946, equation 3).

The loss of token t of a response is -2 / beta_t log sigmoid(beta_t log(p / p_ref)), where p_ref is the aligned model's
probability. Its gradient is that of cross-entropy times 2 (1 - sigmoid(beta_t (log p - log p_ref))): 1 at the start,
and 0 once p is far above p_ref, the sooner the larger beta_t. So the loss here is cross-entropy with that weight held
constant, as in the authors' code, and the mean over tokens. Their settings are the defaults: beta 0.5 for the first
token, 2 for tokens 2 to 5, 0.1 for the others. All rows are constrained, safety rows too.

The features `logprobs` and `base-logprobs` hold log p_ref, computed once for all runs. With `train_on_prompt` the
prompt's tokens have weight 1. With beta 0 everywhere this equals plain training, to the byte.
"""

import numpy as np
import torch

from ballast.files import BallastError
from ballast.training import fit, packing, per_example

NEEDS = ("logprobs", "base-logprobs")
OPTIONS = {
    "beta_first": (0.5, "Strength of the constraint on a response's first token; 0 is none."),
    "beta_start": (2.0, "Strength on its tokens 2 to `start_tokens`."),
    "start_tokens": (5, "Length of a response's start, in tokens."),
    "beta_rest": (0.1, "Strength on the tokens after the start."),
}


def train(model, rows, options, seed, out, partial=None, features=None) -> dict:
    """Train as sft.train; raise BallastError if a beta is negative, or the log-probabilities do not match the rows."""
    if min(options[name] for name in OPTIONS) < 0:
        said = ", ".join(f"{name} {options[name]}" for name in OPTIONS)
        raise BallastError(f"trainer constrained-sft: {said}; none may be negative")
    if features is None or features.logprobs is None:
        raise BallastError(
            "trainer constrained-sft: no reference log-probabilities; it needs the features logprobs and base-logprobs"
        )
    return fit.fit(model, rows, options, seed, out, partial, features, Constrained)


class Constrained(fit.Variant):
    def begin(self, rows, examples, options, seed, features) -> None:
        ids = rows["id"].tolist()
        for example in examples:
            example["reference"], example["beta"] = _constraint(
                example, ids[example["row"]], features.logprobs, options
            )
        self.data_collator = Collator(self.data_collator)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        if "beta" not in inputs:  # validation rows: their plain loss
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        reference, beta = inputs.pop("reference"), inputs.pop("beta")
        with self.accelerator.autocast():
            losses = per_example.token_losses(self.accelerator.unwrap_model(model), inputs)
        weighted = losses * weights(-losses.detach(), reference, beta)
        return sum(part.sum() for part in weighted.split(packing.BLOCK)) / num_items_in_batch


class Collator:
    """Add the reference and beta of each learnt token, end to end in the order of the rows."""

    def __init__(self, collate):
        self.collate = collate

    def __call__(self, examples: list[dict]) -> dict:
        batch = self.collate(examples)
        for name in ("reference", "beta"):
            if name in examples[0]:
                batch[name] = torch.from_numpy(np.concatenate([example[name] for example in examples]))
        return batch


def weights(logprobs: torch.Tensor, reference: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
    """Return 2 (1 - sigmoid(beta (log p - log p_ref))) per token: 1 for beta 0, between 0 and 2."""
    return 2 * (1 - torch.sigmoid(beta * (logprobs - reference)))


def _constraint(example: dict, row: str, logprobs, options: dict) -> tuple[np.ndarray, np.ndarray]:
    """Return log p_ref and beta of each learnt token of an example, float32; both 0 on the prompt's."""
    if row not in logprobs.index:
        raise BallastError(f"trainer constrained-sft: row {row} has no reference log-probabilities; make them again")
    known = np.asarray(logprobs[row], np.float32)
    places = np.array([at for at, label in enumerate(example["labels"]) if label != fit.IGNORED and at > 0])
    number = places - example["prompt"] + 1  # 1 for a response's first token
    answers = number > 0
    if len(known) != answers.sum():
        raise BallastError(
            f"trainer constrained-sft: row {row} has {len(known)} reference log-probabilities and {answers.sum()} "
            "tokens to learn; make them again with this training.max_length, prompt and template"
        )
    reference, beta = np.zeros((2, len(places)), np.float32)
    reference[answers] = known
    start = np.where(number == 1, options["beta_first"], options["beta_start"])
    beta[answers] = np.where(number <= options["start_tokens"], start, options["beta_rest"])[answers]
    return reference, beta
