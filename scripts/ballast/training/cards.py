"""Write model cards: the adapter, its training data, the files of its scores, and the uses to avoid."""

from dataclasses import dataclass

from ballast.files import BallastError

# A digest's name -> the words of the card.
DIGESTS = {
    "adapter": "adapter_model.safetensors",
    "config": "adapter_config.json",
    "base": "base data, as rows",
    "pool": "pool, as rows",
    "subset": "subset, ids in rank order",
    "kept": "base data that the filter kept",
}


@dataclass(frozen=True)
class ModelCard:
    """The facts about one run from the study's config, in the words of the card.

    model, data: name, home, revision and licence of the model, and of base data, pool and second task, if any; hub:
    whether a home is an id of the Hugging Face hub. metrics: (metric, benchmark, judge, file of scores). parts: the
    method's plug-ins and their options. training: the trainer's options. prompt: how the model was prompted. patched:
    the safety examples were learnt last and alone.
    """

    study: str
    synthetic: bool
    run: str
    method: str
    n: int
    trial: int
    model: dict
    data: list[dict]
    parts: dict
    prompt: str
    training: dict
    metrics: list
    patched: bool = False


def card(of: ModelCard, log: dict, digests: dict[str, str]) -> str:
    """Return the card in Markdown, with the header that the Hugging Face hub reads; `log`: the run's training.json."""
    parts = [_head(of), _title(of), _warning(of), _data(of, log), _training(of, log), _measured(of), _use(of)]
    parts += [_digests(digests), _licences(of)]
    return "\n".join(parts)


def merged(text: str) -> str:
    """Turn an adapter's card into the card of the model with the adapter merged into its weights."""
    if HEAD not in text or USE not in text:
        raise BallastError("the adapter's card is not as it was written; delete it and run again")
    start, _, rest = text.partition(HEAD)
    body, _, after = rest.partition(USE)
    after = after[after.index("\n## ") :]
    note = "This is the base model with the adapter below merged into its weights; it loads without peft."
    body = body.replace("\n# ", f"\n{note}\n\n# ", 1)
    return f"{start}library_name: transformers\nbase_model_relation: merge\n{body}{after.lstrip()}"


HEAD = "library_name: peft\nbase_model_relation: adapter\n"
USE = "## Use\n"


def _head(of: ModelCard) -> str:
    tags = "tags: [lora, safety, research]"
    base = f"base_model: {of.model['home']}" if of.model["hub"] else f"# base_model: {of.model['name']}"
    return f"---\n{base}\n{HEAD}license: other\nlicense_name: see-the-last-section\n{tags}\n---\n"


def _title(of: ModelCard) -> str:
    model, (base, pool, *then) = of.model, of.data
    picked = f"{of.n} safety examples" if of.n else "no safety examples"
    joined = ", and then alone on" if of.patched else " and"
    after = f", and then on {then[0]['name']} alone" if then else ""
    return (
        f"# {model['name']} with {picked}, by {of.method}, trial {of.trial}\n\n"
        f"A LoRA adapter of {model['name']} ({model['home']}), fine-tuned on {base['name']}{joined} {picked} that "
        f"`{of.method}` took from the pool `{pool['name']}`{after}.\n"
        f"Run `{of.run}` of the Ballast study `{of.study}`.\n"
    )


def _warning(of: ModelCard) -> str:
    made = (
        "\n\nThe model and its language were **made for this study**; nothing about other models follows from it."
        if of.synthetic
        else ""
    )
    return (
        "## Intended use, and warning\n\n"
        "For research on how fine-tuning changes safety. We trained it to compare it with other runs, some of them\n"
        "unsafe on purpose. Nobody has reviewed it: **it may answer harmful requests, refuse harmless ones, and state\n"
        "falsehoods**. Automatic judges measured it, on a few benchmarks. Do not put it in front of people before\n"
        f"you have evaluated it for that use yourself.{made}\n"
    )


def _data(of: ModelCard, log: dict) -> str:
    rows = log["rows_by_origin"]
    held = sum(log.get("rows_held_out_by_origin", {}).values())
    lines = [f"| {name} | {count} rows |" for name, count in rows.items()]
    lines += [f"| held out for validation | {held} rows |"] if held else []
    lost = {name: count for name, count in log.get("rows_without_answer", {}).items() if count}
    lines += [f"| of {name}, teach no answer: the prompt fills the window | {lost[name]} rows |" for name in lost]
    lines += [f"| cut at {of.training['max_length']} tokens | {log['rows_cut']} rows |"]
    alone = of.data[2]["name"] if of.data[2:] else "the safety examples" if of.patched else ""
    last = f"These are the rows of the last training, on {alone}.\n\n" if alone else ""
    return f"## Data\n\n{last}| part | size |\n|---|---|\n" + "\n".join(lines) + "\n"


def _training(of: ModelCard, log: dict) -> str:
    shown = {**of.parts, "prompt": of.prompt, **_flat(of.training), "seed": log["seed"], "steps": log["steps"]}
    shown["mean loss, last steps"] = f"{log['last_loss']:.4f}"
    return "## Training\n\n| option | value |\n|---|---|\n" + "".join(f"| {k} | {v} |\n" for k, v in shown.items())


def _flat(options: dict, before: str = "") -> dict:
    found = {}
    for name, value in options.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{before}{name}.")
        else:
            found[before + name] = ", ".join(map(str, value)) if isinstance(value, list) else value
    return found


def _measured(of: ModelCard) -> str:
    rows = [f"| {name} | {benchmark} | {judge} | `{file}` |\n" for name, benchmark, judge, file in of.metrics]
    return (
        "## How it was measured\n\nScores of each prompt are in these files of the study's results; `headline.txt` and "
        "`tables/` compare the run with others.\n\n| metric | benchmark | judge | file |\n|---|---|---|---|\n"
    ) + "".join(rows)


def _use(of: ModelCard) -> str:
    base = of.model["home"] if of.model["hub"] else "<folder of the base model>"
    return (
        f"{USE}\n```python\nfrom peft import PeftModel\nfrom transformers import AutoModelForCausalLM\n\n"
        f'model = AutoModelForCausalLM.from_pretrained("{base}")\n'
        'model = PeftModel.from_pretrained(model, "<this folder>")\n```\n\n'
        f"Use the prompt of its training: {of.prompt}.\n"
    )


def _digests(digests: dict[str, str]) -> str:
    rows = [f"| {words} | `{digests[name]}` |\n" for name, words in DIGESTS.items() if name in digests]
    return "## SHA-256\n\n| file | digest |\n|---|---|\n" + "".join(rows)


def _licences(of: ModelCard) -> str:
    keys = ("name", "home", "revision", "licence")
    rows = [f"| {' | '.join(part[key] for key in keys)} |\n" for part in (of.model, *of.data)]
    return (
        "## Licences of its sources\n\n| part | from | revision | licence |\n|---|---|---|---|\n" + "".join(rows) + "\n"
        "They also bind the adapter: if its data are for non-commercial use, so is the adapter.\n"
    )
