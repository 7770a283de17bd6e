"""adaptive: picks refusals in rounds while it trains, more from categories in which the model became less safe.

This is our answer to the open question of the sampling paper (arXiv 2510.21885): should the choice of safety examples
follow the model? The run's n is filled in `rounds`. The first round is drawn like sss-b: training has not changed the
model yet. Before each later round the current adapter answers probes, harmful requests of every category, greedily; the
refusal rule (data/refusal_words.py) counts its refusals. The categories share the round's slots in proportion to
(answered + 1) / (asked + 2), by odd divisors (Webster's method), ties in the seed's order of categories. If a category
has no rows left, the others get its slots. Within a category, rows come in the seed's random order.

Probes are never picked. They are T2 rows first (never eligible), then T1 rows from the end of the random order, at most
half of a category's. A category without probes counts as answered half the time.

Steps and rows per step are those of plain training with n rows: places that no round has filled yet repeat the picked
rows, in turn. The last round is at the start of the last epoch, so every row is trained on; the others come at even
distances before it. With one round this equals plain training on the rows of sss-b, to the bit.

It measures harmful requests only, not over-refusal, and moves slots from safe categories to refusals of unsafe ones.
Compare it at equal over-refusal.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pandas as pd
import torch
from transformers import TrainerCallback

from ballast.asking.decoding import before_end, within_limit
from ballast.asking.loading import load_tokenizer
from ballast.asking.prompts import prompt_ids, prompt_template
from ballast.backends.transformers import by_length, continuations
from ballast.data.refusal_words import is_refusal
from ballast.files import BallastError, read_json, write_json
from ballast.picks.selection import Features, by_category, draw_each, random_order
from ballast.training import checkpoints, fit, packing

PICKS = True
SELECTS = True
NEEDS = ("behaviour", "category")
OPTIONS = {
    "rounds": (4, "Number of rounds, the first before training and the last before the last epoch."),
    "probes": (4, "Harmful requests per category that the model answers before a round."),
    "probe_tokens": (16, "Longest answer to a probe in tokens; a refusal is known by its opening."),
    "multilabel": (("first-taken", "primary-only"), "As `sampling.multilabel`."),
}
BEFORE_LAST_EPOCH = "rounds"  # above 1, this option needs an epoch before the last one
MEMORY = "adaptive.json"


def train(
    model: str,
    rows: pd.DataFrame,
    options: dict,
    seed: int,
    out: str | Path,
    partial: checkpoints.Partial | None = None,
    features: Features | None = None,
) -> dict:
    """Train one adapter on base data and n T1 rows of the pool (origin `pool`), picked in rounds.

    The log has `selection`: per round and category the number of probes and refusals, and the picked ids. Raises
    BallastError if the pool has no T1 row with a category, or fewer than n besides the probes.
    """
    base, pool = rows[rows["origin"] == "base"], rows[rows["origin"] != "base"]
    _check(options, len(base))
    plan = plan_of(pool, features, options, seed)
    taken = pool.set_index("id", drop=False).assign(origin="subset")
    tokenizer = load_tokenizer(model)
    template = prompt_template(tokenizer, options, trained=True)
    asked = taken.loc[plan.asked]
    prompts = [prompt_ids(tokenizer, template.render_row(row)) for row in asked.itertuples()]
    limit = {"max_prompt_tokens": options["max_length"], "long_prompts": "cut"}
    first = plan.places(plan.round(0, 0, {}))
    bound = {
        "plan": plan,
        "pool": taken,
        "tokenizer": tokenizer,
        "prompts": dict(zip(plan.asked, within_limit(prompts, limit), strict=True)),
    }
    table = pd.concat([base, taken.loc[first]], ignore_index=True)
    return fit.fit(model, table, options, seed, out, partial, variant=type("Adaptive", (Adaptive,), bound))


def _check(options: dict, base: int) -> None:
    rounds, n, epochs, held_out = (options[name] for name in ("rounds", "n", "num_train_epochs", "validation_rows"))
    before_last = (epochs - 1) * math.ceil((base + n) / options["batch_size"])
    problems = {
        f"{name} {options[name]} is not at least 1": options[name] < 1 for name in ("rounds", "probes", "probe_tokens")
    } | {
        f"rounds {rounds} is more than n {n}, and each picks a row at least; lower rounds": rounds > n,
        f"rounds {rounds} is more than the {before_last} steps before the last epoch allow; lower rounds, or train for "
        "more epochs": rounds - 1 > before_last,
        "training.validation_rows would be cut from rows that are not picked yet; set 0": options["validation_rows"]
        > 0,
    }
    for problem, found in problems.items():
        if found:
            raise BallastError(f"trainer adaptive: {problem}")


@dataclass
class Plan:
    """Rows to pick and probes, in the seed's order; the rows picked so far (`picked`), and the log's rows."""

    order: list[int]  # of categories
    queues: dict[int, list[str]]
    probes: dict[int, list[str]]
    n: int
    rounds: int
    picked: list[str]
    log: list[dict]

    @property
    def asked(self) -> list[str]:
        """The ids of all probes, without repeats."""
        return sorted(set().union(*self.probes.values()))

    def round(self, number: int, step: int, refused: dict[str, bool]) -> list[str]:
        """Pick the rows of a round (the first is 0), given the probes' `refused`; return all rows picked so far."""
        slots = self.n // self.rounds + (number < self.n % self.rounds)
        asked = {category: [row for row in self.probes[category] if row in refused] for category in self.order}
        refusals = {category: sum(refused[row] for row in rows) for category, rows in asked.items()}
        unsafe = {
            category: Fraction(len(rows) - refusals[category] + 1, len(rows) + 2) for category, rows in asked.items()
        }
        taken = allocate(self.queues, unsafe, self.order, slots, self.picked)
        self.picked += taken
        for category in sorted(self.order):
            ids = [row for row, taken_for in taken.items() if taken_for == category]
            counts = {"probes": len(asked[category]), "refusals": refusals[category], "slots": len(ids)}
            self.log.append({"round": number, "step": step, "category": category} | counts | {"ids": ids})
        return self.picked

    def places(self, picked: list[str]) -> list[str]:
        """Return the row in each of the n places of an epoch; unfilled places repeat the picked rows."""
        return [picked[place % len(picked)] for place in range(self.n)]


def plan_of(pool: pd.DataFrame, features: Features, options: dict, seed: int) -> Plan:
    """Split the pool into rows to pick and probes; with one round there are no probes, and every T1 row is eligible."""
    safe, multilabel = features.with_behaviour(pool, "T1"), options["multilabel"]
    complied = pool[(features.behaviour.reindex(pool["id"]) == "T2").to_numpy()]
    queues, spare = (
        draw_each(table["id"], by_category(table, features, multilabel), max(len(table), 1), seed)
        for table in (safe, complied)
    )
    order = [int(category) for category in random_order(map(str, queues), seed)]
    probes: dict[int, list[str]] = {category: [] for category in order}
    if options["rounds"] > 1:
        for category in order:
            first = spare[category][: options["probes"]]
            more = min(options["probes"] - len(first), len(queues[category]) // 2)
            probes[category] = first + queues[category][len(queues[category]) - more :]
    kept = set().union(*probes.values())
    queues = {category: [row for row in rows if row not in kept] for category, rows in queues.items()}
    eligible = len(set().union(*queues.values()))
    if eligible < options["n"]:
        raise BallastError(
            f"trainer adaptive: n {options['n']} wanted, but only {eligible} T1 rows with a category are left beside "
            f"{len(kept)} probes; ask for a smaller n, or for fewer probes"
        )
    return Plan(order, queues, probes, options["n"], options["rounds"], [], [])


def allocate(
    queues: dict[int, list[str]], unsafe: dict[int, Fraction], order: list[int], slots: int, taken: Iterable[str]
) -> dict[str, int]:
    """Return the next `slots` rows with the category of each: in proportion to `unsafe`, ties in `order`.

    The next slot goes to the category with the largest unsafe / (2 * its slots in this round + 1) among those with a
    row left; rows in `taken` count as used.
    """
    taken, found = set(taken), {}
    waiting = {category: iter(queues[category]) for category in order}
    given = dict.fromkeys(order, 0)
    while len(found) < slots:
        category = max(waiting, key=lambda one: unsafe[one] / (2 * given[one] + 1))
        row = next((row for row in waiting[category] if row not in taken and row not in found), None)
        if row is None:
            del waiting[category]
        else:
            found[row] = category
            given[category] += 1
    return found


class Adaptive(fit.Variant):
    """A Trainer that fills the places of safety rows when a step runs, not when its batch is drawn."""

    plan: Plan
    pool: pd.DataFrame
    prompts: dict[str, list[int]]

    def begin(self, rows: pd.DataFrame, examples: list[dict], options: dict, seed: int, *_) -> None:
        self.options = options
        self.first_place = len(rows) - options["n"]
        # All places of safety rows are drawn: one whose first row teaches nothing may hold another later.
        every = fit.encoded(self.tokenizer, rows, options)
        learnt = {example["row"] for example in examples}
        examples = [each for each in every if each["row"] in learnt or each["row"] >= self.first_place]
        self.train_dataset, self.base = examples, (rows[: self.first_place], every[: self.first_place])
        self.examples = {example["row"]: example for example in examples}
        # Batches are fetched one ahead, so they hold places until their step runs.
        self.collate, self.data_collator = self.data_collator, places_of
        epochs, later = options["num_train_epochs"], self.plan.rounds - 1
        last = (epochs - 1) * math.ceil(len(examples) / options["batch_size"])
        self.due = {number * last // later: number for number in range(1, later + 1)}
        self.add_callback(Rounds(self))

    def fill(self) -> None:
        """Encode the rows that are now in the places of safety rows."""
        rows = self.pool.loc[self.plan.places(self.plan.picked)]
        encoded = fit.encoded(self.tokenizer, rows, self.options)
        self.examples |= {self.first_place + example["row"]: example for example in encoded}

    def get_batch_samples(self, epoch_iterator, num_batches, device):
        """Return a step's micro-batches, with the rows now in its places, and its number of learnt tokens."""
        drawn, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        batches = [self.collate([self.examples[place] for place in each["places"].tolist()]) for each in drawn]
        return batches, self._get_num_items_in_batch(batches, device)

    def refused(self) -> dict[str, bool]:
        """Return whether the current model refuses each probe, by id."""
        network, asked = self.model, self.plan.asked
        training = network.training
        network.eval()
        if self.options["packing"]:
            packing.plain(network).set_attn_implementation("sdpa")
        answers: dict[str, bool] = {}
        prompts = [self.prompts[row] for row in asked]
        for batch in by_length(prompts, self.options["per_device_train_batch_size"]):
            said = continuations(
                network, self.tokenizer, self.options["probe_tokens"], 1, [prompts[index] for index in batch]
            )
            said = [before_end(self.tokenizer, new) for new in said]
            texts = self.tokenizer.batch_decode(said, skip_special_tokens=True)
            answers |= {asked[index]: is_refusal(text) for index, text in zip(batch, texts, strict=True)}
        if self.options["packing"]:
            packing.prepare(network)
        network.train(training)
        return answers

    def measured(self) -> dict:
        """Return the picks, and what the rows picked in the end teach: the places began with other ones."""
        rows, examples = self.base
        picked = self.pool.loc[self.plan.picked]
        added = fit.encoded(self.tokenizer, picked, self.options)
        examples = examples + [each | {"row": self.first_place + each["row"]} for each in added]
        table = pd.concat([rows, picked], ignore_index=True)
        return {"selection": self.plan.log} | fit.answers_learnt(table, examples, self.options)

    def save(self, folder: Path) -> None:
        write_json(folder / MEMORY, {"picked": self.plan.picked, "log": self.plan.log})

    def load(self, folder: Path) -> None:
        kept = read_json(folder / MEMORY)
        self.plan.picked, self.plan.log = kept["picked"], kept["log"]
        self.fill()


def places_of(examples: list[dict]) -> dict[str, torch.Tensor]:
    return {"places": torch.tensor([example["row"] for example in examples])}


class Rounds(TrainerCallback):
    """Pick after each step at which a round is due."""

    def __init__(self, trainer: Adaptive):
        self.trainer = trainer

    def on_step_end(self, args, state, control, **_):
        number = self.trainer.due.get(state.global_step)
        if number is not None:
            self.trainer.plan.round(number, state.global_step, self.trainer.refused())
            self.trainer.fill()
