"""patch: train a finished adapter further, on the picked safety rows alone (Zhang et al., arXiv 2601.01887).

Safety at One Shot (ICLR 2026): after the fine-tuning, a few epochs on a single safety example undo its harm, and more
examples do no better. Read in part: the abstract, and a summary by others (en.papernotes.org). It gives 10 epochs at a
learning rate of 2e-5, the loss of the response, and a bilevel optimisation that picks one of 256 candidates, mostly
refusals of a general kind. We had neither the paper nor its code (Kevin-Zh-CS/safety-at-one-shot), so schedule, warm-up
and the weights that they train are unknown to us.

Ours differs: the method's sampler picks the rows, n of them; the bilevel optimisation is not built. Only the adapter is
trained, by a new optimiser at a constant rate without warm-up. An adapter may need a higher rate.
"""

from ballast.files import BallastError
from ballast.training import fit

FURTHER = True
OPTIONS = {
    "patch_epochs": (10, "Passes over the picked rows."),
    "patch_learning_rate": (2e-5, "Learning rate, held constant."),
}
ALONE = {"lr_scheduler_type": "constant", "warmup_steps": 0, "train_on_prompt": False, "validation_rows": 0}


def train(model, rows, options, seed, out, partial=None) -> dict:
    """Train as sft.train on the subset alone; raise BallastError without an adapter, or if an option is not above 0."""
    if not options.get("adapter"):
        raise BallastError("trainer patch: no adapter to train further; name the method that trains it as 'of'")
    epochs, rate = options["patch_epochs"], options["patch_learning_rate"]
    if epochs <= 0 or rate <= 0:
        raise BallastError(f"trainer patch: patch_epochs {epochs}, patch_learning_rate {rate}; both must be above 0")
    alone = ALONE | {"num_train_epochs": epochs, "learning_rate": rate}
    picked = rows[rows["origin"] == "subset"].reset_index(drop=True)
    return fit.fit(model, picked, options | alone, seed, out, partial)
