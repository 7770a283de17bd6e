"""Options of tiny training, generation and judging runs."""

from ballast.study.sources import own_template

ALPACA_SHAPED = own_template("alpaca-shaped")
OPTIONS = {
    "prompt": "alpaca",
    "template": ALPACA_SHAPED,
    "system": None,
    "lora": {"r": 4, "lora_alpha": 8, "lora_dropout": 0.1, "target_modules": ["v_proj", "q_proj"], "bias": "none"},
    "num_train_epochs": 1,
    "batch_size": 8,
    "per_device_train_batch_size": 4,
    "learning_rate": 1e-2,
    "lr_scheduler_type": "linear",
    "warmup_steps": 2,
    "weight_decay": 0.0,
    "adam_beta1": 0.9,
    "adam_beta2": 0.999,
    "max_grad_norm": 1.0,
    "max_length": 64,
    "train_on_prompt": True,
    "train_sampling_strategy": "random",
    "dtype": "float32",
    "packing": False,
    "optim": "adamw_torch",
    "validation_rows": 0,
}
DECODING = {
    "decoding": "greedy",
    "max_new_tokens": 5,
    "max_prompt_tokens": 40,
    "long_prompts": "cut",
    "batch_size": 3,
    "dtype": "float32",
}
JUDGING = {"batch_size": 2, "max_length": 50, "dtype": "float32", "chat": False}
