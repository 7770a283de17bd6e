"""What the paper printed, as data: `tables.csv`, a row a cell. arXiv 2510.21885, How to Fine-Tune Safely on a Budget.

Columns: `table` (1, 2 or 4; `text` for the two numbers without safety data, which section 5 gives: harm 2.37, and an
estimate of 58 % for attack success), `metric`, `model` and `sampler` in Ballast's names, `n`, `mean`, and `pm`, what
stands after the sign ±, in the metric's unit; empty where the paper gives one run. It never says what ± is.
"""

# Models of its tables, as `config/paper.yaml` calls them.
MODELS = ("llama-2-7b", "llama-3-8b", "llama-3-8b-instruct", "qwen2.5-7b-instruct", "mistral-7b")
TRIALS = 10  # of a cell with ±, by its section 8
BASE_ROWS = 20_000  # pairs of its fine-tuning set, by its section 4.2
TEXT = "text"
