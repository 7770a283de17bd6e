"""The paper's printed numbers: `tables.csv`, one row per cell. arXiv 2510.21885, How to Fine-Tune Safely on a Budget.

Columns: `table` (1, 2 or 4; `text` for the two numbers without safety data, which section 5 gives: harm 2.37, and an
estimate of 58 % for attack success), `metric`, `model` and `sampler` in Ballast's names, `n`, `mean`, and `pm`, the
number after the sign ± in the metric's unit, empty if the paper gives one run. The paper never defines ±.
"""

# Models of its tables, named as in `config/paper.yaml`.
MODELS = ("llama-2-7b", "llama-3-8b", "llama-3-8b-instruct", "qwen2.5-7b-instruct", "mistral-7b")
TRIALS = 10  # of a cell with ±, by its section 8
BASE_ROWS = 20_000  # pairs of its fine-tuning set, by its section 4.2
TEXT = "text"
