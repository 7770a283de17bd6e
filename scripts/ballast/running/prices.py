"""Price single jobs on a cluster of L40S GPUs: seconds of a GPU and bytes on disk.

RATES holds every number that is not counted, marked as measured here, published, computed from such numbers, or
assumed.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ballast import plugins
from ballast.files import BallastError
from ballast.running.gpu_memory import FEWER
from ballast.study.fine_tuning import ALL

MEASURED, PUBLISHED, ARITHMETIC, ASSUMED = MARKS = ("measured here", "published", "arithmetic", "assumed")
# Rows by a source's file, else by the reader's format: published sizes.
ROWS = {
    "alpaca_small.json": 20000,
    "safety_only_data_Instructions.json": 2483,
    "test.jsonl.xz": 700,  # BeaverTails-Evaluation
    "attack_enhanced_set.json": 5000,  # SALAD-Bench
    "base_set.json": 21318,
    "xstest": 250,  # the safe ones of 450
    "xstest harmful": 200,
    "I-Alpaca.json": 50,
    "I-MaliciousInstructions.json": 100,
    "I-CoNa.json": 178,
    "I-Controversial.json": 40,
    "I-PhysicalSafetyUnsafe.json": 100,
    "Q-Harm.json": 100,
    "harmful_behaviors.csv": 520,  # AdvBench
    "test.jsonl": 1319,  # GSM8K
    "harmbench_behaviors_text_all.csv": 200,  # the standard ones of 400
    "harmful-behaviors.csv": 100,  # JailbreakBench
    "benign-behaviors.csv": 100,
    "strongreject_dataset.csv": 313,
    "eval.tsv": 2000,  # WildJailbreak's harmful ones; 210 are benign
    "or-bench-hard-1k.csv": 1319,
    "or-bench-toxic.csv": 655,
}
# Tokens of a micro-batch that keep a GPU busy.
LARGE = 2048


@dataclass(frozen=True)
class Rate:
    """One number of the bill: value, unit, one of MARKS, and source."""

    value: float
    unit: str
    mark: str
    source: str


RATES = {
    "peak": Rate(181e12, "FLOP/s", PUBLISHED, "NVIDIA L40S, dense bfloat16"),
    "bandwidth": Rate(864e9, "byte/s", PUBLISHED, "NVIDIA L40S"),
    "memory": Rate(48e9, "byte", PUBLISHED, "NVIDIA L40S"),
    "memory for vLLM": Rate(0.9, "of memory", ASSUMED, "weights and KV cache; vLLM takes 0.92, activations some of it"),
    "weights": Rate(14e9, "byte/model", ASSUMED, "where no size is known: 7B; parameters are bytes / 2"),
    "training": Rate(4, "FLOP/parameter/token", ARITHMETIC, "LoRA: forward, and gradients of activations"),
    "full training": Rate(6, "FLOP/parameter/token", ARITHMETIC, "all weights: forward, and both gradients"),
    "reading": Rate(2, "FLOP/parameter/token", ARITHMETIC, "forward alone"),
    "large batches": Rate(0.55, "of peak", ASSUMED, "from 2,048 tokens at a time; 0.31 to 0.60 are published"),
    "small batches": Rate(0.29, "of peak", PUBLISHED, "Qwen's README: LoRA of 7B on an A100, 1,024 tokens at a time"),
    "8 bits": Rate(0.17, "of peak", ARITHMETIC, "3.2 hours a run as the authors' code trains"),
    "nf4": Rate(1.5, "LoRA's time", ASSUMED, "QLoRA: weights dequantised, and a second forward pass (checkpointing)"),
    "nf4 weights": Rate(FEWER["nf4"], "byte/parameter", ARITHMETIC, "half a byte, and double-quantised constants"),
    "several GPUs": Rate(0.8, "of their sum", ASSUMED, "vLLM, tensor parallel over the links of one node"),
    "decoding": Rate(0.77, "of bandwidth", PUBLISHED, "vLLM, Llama 3.1 8B on an A100, one prompt"),
    "padding": Rate(1.45, "tokens/token", MEASURED, "Alpaca sample, 4 rows at a time in random order: 1.40 to 1.53"),
    "base row": Rate(160, "tokens", ASSUMED, "Cleaned Alpaca lies between two samples of 127 and 176"),
    "safety row": Rate(139, "tokens", MEASURED, "the paper's pool; 4 characters a token"),
    "prompt of salad-attack": Rate(693, "tokens", MEASURED, "500 of 5,000 rows; 4 characters a token"),
    "prompt of beavertails-eval": Rate(58.5, "tokens", MEASURED, "700 rows; 4 characters a token"),
    "prompt of xstest": Rate(50, "tokens", MEASURED, "250 rows; 4 characters a token"),
    "prompt of another": Rate(60, "tokens", ASSUMED, "as long as those of beavertails-eval"),
    "cached of salad-attack": Rate(0.578, "of prompt", MEASURED, "beginnings that an earlier prompt has too, 500 rows"),
    "cached of another": Rate(0.5, "of prompt", MEASURED, "the template of beavertails-eval's prompts"),
    "response": Rate(90, "tokens", ASSUMED, "of at most 128"),
    "judge": Rate(10, "tokens", ASSUMED, "the answer of a judge that writes words; its template is cached"),
    "category": Rate(20, "tokens", ASSUMED, "the answer, a JSON list; its template is cached"),
    "rewriting, read": Rate(757, "tokens", PUBLISHED, "the paper's appendix C.3: 2.27 million for 3,000 rows"),
    "rewriting, written": Rate(162, "tokens", PUBLISHED, "the paper's appendix C.3: 485 thousand for 3,000 rows"),
    "KV cache": Rate(524288, "byte/token", ARITHMETIC, "Llama 2 7B; models of grouped queries hold a quarter or less"),
    "step": Rate(0.03, "s", ASSUMED, "one forward pass in transformers, at least: 24 to 32 layers launched by Python"),
    "step in 8 bits": Rate(0.09, "s", ARITHMETIC, "at least: the authors' 9.9 s a prompt are 110 steps of four beams"),
    "batch script": Rate(5, "s/cluster job", ASSUMED, "the node's prolog and the environment"),
    "Snakemake": Rate(2.2, "s/start", MEASURED, "start and parse of paper.yaml: one a job, one a cluster job"),
    "imports": Rate(6.2, "s/job", MEASURED, "Python, torch, transformers, peft; files were in memory"),
    "loading": Rate(1e9, "byte/s", ASSUMED, "weights, disk to GPU; a local disk here read 1.0e9 to 1.1e9"),
    "vLLM": Rate(39, "s/job", PUBLISHED, "engine start without weights, Llama 3 8B: vllm-project/vllm#11005"),
    "adapter": Rate(16.8e6, "byte", ARITHMETIC, "Llama 2 7B, rank 8 on 2 modules, float32; others in proportion"),
    "stored of salad-attack": Rate(380, "byte/response", MEASURED, "Parquet with the prompt, 500 rows"),
    "stored of another": Rate(170, "byte/response", MEASURED, "Parquet with the prompt, beavertails-eval's 700 rows"),
    "score": Rate(160, "byte/score", MEASURED, "30 in Parquet, 130 for the answer in the store"),
}


@dataclass(frozen=True)
class Stage:
    """One job on GPUs: its engine (gigabytes or None, backend, batch_size, words, beams, quantize, gpus), the datasets
    that it reads, its number of safety rows, the words after the rule's name in its line, and the most rows of a
    dataset that it reads (None: all)."""

    rule: str
    engine: dict
    datasets: tuple[str, ...]
    n: int = 0
    about: str = ""
    limit: int | None = None


def known_rows(name: str, dataset: dict) -> tuple[int, str]:
    """Return a dataset's number of rows, and its origin: the config, the finished file, its source, or a publication.

    `dataset`: key, rows, made (its file in results), path (its source on this machine, or ""), file (of its source),
    format, columns, where, prompts, command. Raises BallastError if none of them gives it.
    """
    if dataset["rows"]:
        return dataset["rows"], "config, at most"
    if Path(dataset["made"]).is_file():
        try:
            return pq.read_metadata(dataset["made"]).num_rows, "its file"
        except (pa.ArrowInvalid, OSError):
            raise BallastError(f"{dataset['made']}: not a whole Parquet file; delete it and run again") from None
    if dataset["path"]:
        return _counted(dataset), "its file, at most"
    kind = f"{dataset['format']} {dataset['prompts'] or ''}".removesuffix("safe").strip()
    published = ROWS.get(dataset["file"]) or ROWS.get(kind)
    if not published:
        raise BallastError(
            f"{name}: nobody says how many rows it has; give config key {dataset['key']}.rows, or make its file first: "
            f"{dataset['command']} {dataset['made']}"
        )
    return published, PUBLISHED


def _counted(dataset: dict) -> int:
    """Return the rows of a file on this machine that its reader can read."""
    reader = plugins.load("readers", dataset["format"])
    given = {"prompts": dataset["prompts"]} if dataset["prompts"] else {}
    if hasattr(reader, "FORM"):
        given |= {"columns": dataset["columns"], "where": dataset["where"], "unreadable": 1}
    return len(reader.read(dataset["path"], **given))


class Prices:
    """Seconds on a GPU and bytes on disk of single jobs, at RATES; `used` names the rates read so far."""

    def __init__(self, options: dict, rows: dict[str, int]):
        self.options, self.rows, self.used = options, rows, set()

    def rate(self, name: str) -> float:
        self.used.add(name)
        return RATES[name].value

    def rate_of(self, what: str, dataset: str) -> float:
        """Return `what` of a benchmark's format, or of `another` if that format has no own rate."""
        name = f"{what} of {dataset.rpartition('/')[2]}"
        return self.rate(name if name in RATES else f"{what} of another")

    def weights(self, engine: dict) -> float:
        """Return the bytes of a model's weights on disk."""
        return engine["gigabytes"] * 1e9 if engine["gigabytes"] else self.rate("weights")

    def cluster_job(self) -> float:
        """Return the seconds that a cluster job holds its GPU before its first and after its last job."""
        return self.rate("batch script") + self.rate("Snakemake")

    def start(self, stage: Stage, loads: float = 1) -> float:
        """Return the seconds that a job holds its GPU before it works: Snakemake, imports, weights, vLLM's engine.

        `loads`: how often it does all but the first; less than 1 if jobs share a loaded model.
        """
        engine = self.rate("vLLM") if stage.engine["backend"] == "vllm" else 0
        load = self.rate("imports") + self.weights(stage.engine) / self.rate("loading") + engine
        return self.rate("Snakemake") + loads * load

    def work(self, stage: Stage) -> float:
        """Return the seconds of a job's own work."""
        engine, rate = stage.engine, self.rate
        if stage.rule in ("train", "filter"):
            return self._training(engine, stage.n, self.rows["base"] if stage.datasets else 0)
        if stage.rule in ("align", "warm_up", "gradients", "logprobs"):
            return self._features(stage)
        if stage.rule in ("behaviour", "category"):
            written = rate("judge" if stage.rule == "behaviour" else "category")
            return self._answering(engine, self.rows[stage.datasets[0]], rate("safety row"), 0, written)
        if stage.rule == "rewrite":
            read, written = rate("rewriting, read"), rate("rewriting, written")
            return self._answering(engine, self.rows[stage.datasets[0]], read, 0, written)
        response = min(rate("response"), self.options["generation"]["max_new_tokens"])
        seconds = 0
        for name in stage.datasets:
            prompt = self.rate_of("prompt", name)
            if stage.rule == "generate":
                seconds += self._answering(engine, self.rows[name], prompt, self.rate_of("cached", name), response)
            else:
                written = rate("judge") if engine["words"] else 0
                # A comparison reads two responses, in both orders.
                shown = 2 if engine["compares"] else 1
                read = prompt + shown * response
                seconds += self._answering(engine, shown * self.rows[name], read, 0, written)
        return seconds

    def _training(self, engine: dict, n: int, base: int) -> float:
        """Return the seconds of all epochs over `base` rows and `n` safety rows; each reads validation rows once."""
        options, rate = self.options["training"], self.rate
        tokens = self._tokens("base", base) + (self._tokens("pools", n) if n else 0)
        held_out = options["validation_rows"] / (base + n) if base else 0
        learning = rate("full training" if options.get("full") else "training")
        flop = (1 - held_out) * learning + held_out * rate("reading")
        packed, together = options["packing"], options["per_device_train_batch_size"]
        return self._passing(engine, options["num_train_epochs"] * tokens, flop, packed, together)

    def _features(self, stage: Stage) -> float:
        """Return the seconds of an aligned start, a warm-up, or a pass for gradients or log-probabilities."""
        [name] = stage.datasets
        tokens = self._tokens(name, self.read(stage))
        if stage.rule in ("align", "warm_up"):
            training = self.options["training"]
            packed, together = training["packing"], training["per_device_train_batch_size"]
            warm = stage.rule == "warm_up"
            tokens *= self.options["gradients"]["warm_up_epochs"] if warm else training["num_train_epochs"]
        else:
            packed, together = False, self.options["gradients"]["batch_size"]
        flop = self.rate("reading" if stage.rule == "logprobs" else "training")
        return self._passing(stage.engine, tokens, flop, packed, together)

    def read(self, stage: Stage) -> int:
        """Return the number of rows of its dataset that a job reads."""
        known = self.rows[stage.datasets[0]]
        return known if stage.limit is None else min(known, stage.limit)

    def _tokens(self, dataset: str, rows: int) -> float:
        return rows * min(
            self.rate("base row" if dataset == "base" else "safety row"), self.options["training"]["max_length"]
        )

    def _passing(self, engine: dict, tokens: float, flop: float, packed: bool, together: int) -> float:
        """Return the seconds of passes over `tokens`, `together` rows at a time; `flop` per parameter and token."""
        rate = self.rate
        padding = 1 if packed else rate("padding")
        large = together * rate("base row") * padding >= LARGE
        quantize = self.options["training"].get("quantize")
        share = rate("8 bits" if quantize == "int8" else "large batches" if large else "small batches")
        longer = rate("nf4") if quantize == "nf4" else 1
        # Layers on several GPUs work one after the other, so they take the time of one GPU.
        return longer * tokens * padding * flop * self.weights(engine) / 2 / (rate("peak") * share)

    def _answering(self, engine: dict, prompts: int, length: float, cached: float, written: float) -> float:
        """Return the seconds to read prompts of `length` tokens, a share `cached`, and write `written` tokens each."""
        rate, weights, quantize = self.rate, self.weights(engine), engine["quantize"]
        vllm, gpus = engine["backend"] == "vllm", engine["gpus"]
        power = gpus * rate("several GPUs") if gpus > 1 else 1
        read = prompts * length * (1 - cached if vllm else 1)
        seconds = read * rate("reading") * weights / 2 / (power * rate("peak") * rate("large batches"))
        least = 0 if vllm else rate("step in 8 bits" if quantize == "int8" else "step")
        if not written:
            return max(seconds, prompts / engine["batch_size"] * least)
        held = engine["beams"] * (length + written) * rate("KV cache")
        loaded = {None: weights, "int8": weights / 2}.get(quantize) or weights / 2 * rate("nf4 weights")
        room = gpus * rate("memory") * rate("memory for vLLM") - loaded
        together = max(1, min(prompts, engine["batch_size"], room // held))
        step = (loaded + together * held) / (power * rate("bandwidth") * rate("decoding"))
        if not vllm:
            # Each batch runs until its longest answer ends.
            step, written = max(step, least), max(written, engine["longest"])
        return seconds + prompts / together * written * step

    def disk(self, jobs: list[tuple[int, Stage]]) -> dict[str, float]:
        """Return gigabytes of adapters, responses, scores, gradients and fetched sources; labels are small."""
        lora = self.options["training"]["lora"]
        layers = 7 if lora["target_modules"] == [ALL] else len(lora["target_modules"])
        adapter = self.rate("adapter") * lora["r"] / 8 * layers / 2
        found = Counter()
        for number, stage in jobs:
            answers = {name: number * self.rows[name] for name in stage.datasets}
            if stage.rule == "train":
                kept = self.weights(stage.engine) if self.options["training"].get("full") else adapter
                found["adapters"] += number * kept
            elif stage.rule == "generate":
                found["responses"] += sum(answers[name] * self.rate_of("stored", name) for name in answers)
            elif stage.rule in ("judge", "pairwise"):
                found["scores"] += sum(answers.values()) * self.rate("score")
            elif stage.rule == "gradients":
                # float16: 2 bytes.
                found["gradients"] += 2 * self.options["gradients"]["dimensions"] * self.read(stage)
        return {name: size / 1e9 for name, size in found.items()} | {"sources": self.options["fetched"]}
