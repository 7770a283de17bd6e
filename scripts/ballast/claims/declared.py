"""Declare the claims in our words: the publication, the place, the claim and its check.

`paper` is arXiv 2510.21885. `summary A` and `summary B` are two public summaries of it: A lists quick facts and
mechanisms, B lists key findings. `DualSelect` is arXiv 2606.09866. A claim about one n is checked at that n alone; a
claim about every n is checked at the n of the study.
"""

from dataclasses import dataclass

from ballast.claims.pairs import (
    ASR,
    BEHAVIOURAL,
    HARM,
    HELPFULNESS,
    OVER_REFUSAL,
    STRUCTURED,
    aligned_below_tuned,
    among_best,
    below,
    best_is_among,
    both,
    falls,
    refusals_below_safe,
    rises,
)
from ballast.claims.safety_avg import Ahead, Elsewhere, Kept
from ballast.claims.verdicts import POINTS, Largest, Lower, Reduction, Share, Steadier, Unchanged
from ballast.names import NONE, RANDOM
from ballast.published import BASE_ROWS


@dataclass(frozen=True)
class Claim:
    id: str
    source: str
    text: str
    claimed: str
    check: Reduction | Share | Largest | Lower | Steadier | Unchanged | Ahead | Kept | Elsewhere


PAPER, A, B, DUALSELECT = "paper", "summary A", "summary B", "DualSelect, abstract"
DIVERSITY, BEHAVIOUR, SYNERGY = (
    f"{PAPER}, section 5, {part}" for part in ("categorical diversity", "refusal behaviours", "synergy")
)
TRADEOFFS, EFFICIENCY = (f"{PAPER}, section 5, {part}" for part in ("deterministic or stratified", "data efficiency"))

CLAIMS = (
    Claim(
        "abstract-41",
        f"{PAPER}, abstract on arXiv",
        "Choosing 100 examples (0.5 % more data) by behaviour and category cuts harm by 41 % (the cell is Cossim-B's).",
        "41 %",
        Reduction(HARM, "cossim-b", 100, NONE, "41"),
    ),
    Claim(
        "abstract-share",
        f"{PAPER}, abstract of the full text; {A}",
        "0.05 % more data is enough for the cut of 41 %.",
        "0.05 %",
        Share(HARM, "41", "0.05", BASE_ROWS),
    ),
    Claim(
        "abstract-most",
        f"{PAPER}, abstract",
        "41 % is as far as harm falls below training without safety data.",
        "41 %",
        Largest(HARM, NONE, "41", samplers=STRUCTURED),
    ),
    Claim(
        "sss-b-41",
        f"{A}, key results",
        "SSS-B is the sampler that cuts harm by 41 % (checked at 100).",
        "41 %",
        Reduction(HARM, "sss-b", 100, NONE, "41"),
    ),
    Claim(
        "sss-150-none",
        DIVERSITY,
        "150 examples by SSS cut harm by 44 % against none.",
        "44 %",
        Reduction(HARM, "sss", 150, NONE, "44"),
    ),
    Claim(
        "sss-150-random",
        f"{DIVERSITY}; {A}",
        "150 examples by SSS give 11 % less harm than 150 at random.",
        "11 %",
        Reduction(HARM, "sss", 150, RANDOM, "11"),
    ),
    Claim(
        "sss-250-1000",
        DIVERSITY,
        "SSS also gives less harm than Random at 250 and at 1,000.",
        "lower",
        Lower(below(RANDOM, ("sss",), (HARM,), (250, 1000))),
    ),
    Claim(
        "sss-150-asr",
        f"{DIVERSITY}; {A}",
        "150 examples by SSS give fewer successful attacks than 150 at random.",
        "lower",
        Lower(below(RANDOM, ("sss",), (ASR,), (150,))),
    ),
    Claim(
        "sss-consistent",
        DIVERSITY,
        "SSS is below Random throughout, in harm and attack success.",
        "at every n",
        Lower(below(RANDOM, ("sss",), (HARM, ASR))),
    ),
    Claim(
        "t1-best-behaviour",
        f"{PAPER}, section 3.3 and Figure 2; {A}",
        "Refusals of harmful requests (T1) give less harm than an equal number of T2, T3 or T4.",
        "lower",
        Lower(
            both(*(below(other, ("t1",), (HARM,)) for other in ("t2", "t3", "t4"))),
            "behaviour",
        ),
    ),
    Claim(
        "helpfulness-stable",
        f"{PAPER}, appendix A.2 and Figure 2",
        "Helpfulness does not depend on the behaviour that the examples show.",
        "no difference",
        Unchanged(
            both(*(below(other, ("t1",), (HELPFULNESS,)) for other in ("t2", "t3", "t4"))),
            "behaviour",
        ),
    ),
    Claim(
        "best-at-150",
        BEHAVIOUR,
        "SSS-B and Cossim-B are among the best in harm at 150 (1.19): below each other sampler.",
        "lower",
        Lower(among_best(("sss-b", "cossim-b"), (150,))),
    ),
    Claim(
        "behavioural-asr-50-100",
        BEHAVIOUR,
        "With 50 to 100 refusals attack success falls by 5 to 9 points at most, against Random.",
        "9 points",
        Largest(ASR, RANDOM, "9", POINTS, BEHAVIOURAL, (50, 100)),
    ),
    *(
        Claim(
            f"refusals-help-{name}",
            f"{BEHAVIOUR}; {PAPER}, section 3.3",
            f"Restricting {label} to refusals lowers harm.",
            "at every n",
            Lower(below(name, (f"{name}-b",), (HARM,))),
        )
        for name, label in (("sss", "SSS"), ("pss", "PSS"), ("cossim", "Cossim"))
    ),
    Claim(
        "refusals-pool",
        f"{PAPER}, appendix C.3 and Figure 7",
        "A pool rewritten into refusals gives fewer successful attacks than the original safe pairs.",
        "at every n",
        Lower(refusals_below_safe, "rewriting"),
    ),
    Claim(
        "sss-b-150-none",
        f"{SYNERGY}; {A}",
        "150 examples by SSS-B cut harm by 49.8 % against none.",
        "49.8 %",
        Reduction(HARM, "sss-b", 150, NONE, "49.8"),
    ),
    Claim(
        "sss-b-150-random",
        f"{SYNERGY}; {A}",
        "150 examples by SSS-B give 19.6 % less harm than 150 at random.",
        "19.6 %",
        Reduction(HARM, "sss-b", 150, RANDOM, "19.6"),
    ),
    Claim(
        "sss-b-250-none",
        SYNERGY,
        "250 examples by SSS-B cut harm by 66.2 % against none.",
        "66.2 %",
        Reduction(HARM, "sss-b", 250, NONE, "66.2"),
    ),
    Claim(
        "sss-b-250-random",
        SYNERGY,
        "250 examples by SSS-B give 15.8 % less harm than 250 at random.",
        "15.8 %",
        Reduction(HARM, "sss-b", 250, RANDOM, "15.8"),
    ),
    Claim(
        "cossim-b-100-random",
        SYNERGY,
        "100 examples by Cossim-B give 24.5 % less harm than 100 at random.",
        "24.5 %",
        Reduction(HARM, "cossim-b", 100, RANDOM, "24.5"),
    ),
    Claim(
        "cossim-b-350-random",
        SYNERGY,
        "350 examples by Cossim-B give 14.7 % less harm than 350 at random.",
        "14.7 %",
        Reduction(HARM, "cossim-b", 350, RANDOM, "14.7"),
    ),
    Claim(
        "sss-b-150-asr",
        f"{SYNERGY}; {A}",
        "150 examples by SSS-B give 25.6 % fewer successful attacks than 150 at random.",
        "25.6 %",
        Reduction(ASR, "sss-b", 150, RANDOM, "25.6"),
    ),
    Claim(
        "sss-b-500-asr-none",
        SYNERGY,
        "500 examples by SSS-B cut successful attacks by 86.6 % against none, which is an estimate.",
        "86.6 %",
        Reduction(ASR, "sss-b", 500, NONE, "86.6"),
    ),
    Claim(
        "sss-b-500-asr-random",
        SYNERGY,
        "500 examples by SSS-B give 10.5 % fewer successful attacks than 500 at random.",
        "10.5 %",
        Reduction(ASR, "sss-b", 500, RANDOM, "10.5"),
    ),
    Claim(
        "synergy-best",
        f"{SYNERGY}; section 6",
        "The best sampler combines refusals with categories (SSS-B, PSS-B or Cossim-B), in harm.",
        "at every n",
        Lower(best_is_among(BEHAVIOURAL)),
    ),
    Claim(
        "sss-b-every-n",
        f"{SYNERGY}; {PAPER}, appendix C.1",
        "SSS-B is below Random in harm and attack success.",
        "at every n",
        Lower(below(RANDOM, ("sss-b",), (HARM, ASR))),
    ),
    Claim(
        "cossim-b-every-n",
        SYNERGY,
        "Cossim-B is below Random in harm and attack success.",
        "at every n",
        Lower(below(RANDOM, ("cossim-b",), (HARM, ASR))),
    ),
    Claim(
        "structured-every-n",
        f"{PAPER}, section 6",
        "Every sampler that uses categories is below Random in harm and attack success.",
        "at every n",
        Lower(below(RANDOM, STRUCTURED, (HARM, ASR))),
    ),
    Claim(
        "sss-b-significant",
        f"{B}, key results",
        "SSS-B is significantly below Random in harm at every n.",
        "significant at every n",
        Lower(below(RANDOM, ("sss-b",), (HARM,)), tested=True),
    ),
    Claim(
        "sss-significant",
        DIVERSITY,
        "SSS, too, improves on Random by more than chance in harm at every n.",
        "significant at every n",
        Lower(below(RANDOM, ("sss",), (HARM,)), tested=True),
    ),
    Claim(
        "sss-steadier",
        f"{PAPER}, section 3.2",
        "SSS varies less between runs than Random does, in harm.",
        "at every n",
        Steadier(HARM, "sss", RANDOM),
    ),
    Claim(
        "cossim-b-pss-b",
        TRADEOFFS,
        "Cossim-B is better than PSS-B at 100 and worse at 150, in harm.",
        "both",
        Lower(both(below("pss-b", ("cossim-b",), (HARM,), (100,)), below("cossim-b", ("pss-b",), (HARM,), (150,)))),
    ),
    Claim(
        "deterministic-reduce",
        TRADEOFFS,
        "PSS, Cossim, PSS-B and Cossim-B are below training without safety data in harm.",
        "at every n",
        Lower(below(NONE, ("pss", "cossim", "pss-b", "cossim-b"), (HARM,))),
    ),
    Claim(
        "asr-9-21",
        EFFICIENCY,
        "Attack success falls by 9.21 points at most, against Random.",
        "9.21 points",
        Largest(ASR, RANDOM, "9.21", POINTS, STRUCTURED),
    ),
    Claim(
        "asr-9",
        f"{A}, key results",
        "Attack success falls by 9 points at most, against Random.",
        "9 points",
        Largest(ASR, RANDOM, "9", POINTS, STRUCTURED),
    ),
    Claim(
        "harm-falls",
        f"{PAPER}, appendix C.1; {A}",
        "More examples, less harm: each n of Random and of SSS-B below the n before it.",
        "at every n",
        Lower(falls(HARM, (RANDOM, "sss-b"))),
    ),
    Claim(
        "over-refusal-rises",
        f"{PAPER}, appendix C.1 and Figure 6; {A}",
        "More examples, more refusals of safe prompts: the least n of Random and of SSS-B below the largest.",
        "lower",
        Lower(rises(OVER_REFUSAL, (RANDOM, "sss-b"))),
    ),
    Claim(
        "over-refusal-rises-deterministic",
        f"{PAPER}, appendix C.1 and Figure 6",
        "More examples, more refusals of safe prompts, for PSS-B and Cossim-B too.",
        "lower",
        Lower(rises(OVER_REFUSAL, ("pss-b", "cossim-b"))),
    ),
    Claim(
        "transfer",
        f"{PAPER}, appendix C.2 and Table 4",
        "SSS-B is below Random in harm on every other model, at every n of Table 4.",
        "on every model",
        Lower(below(RANDOM, ("sss-b",), (HARM,)), "transfer"),
    ),
    Claim(
        "transfer-significant",
        f"{B}, key results",
        "SSS-B is significantly below Random in harm on every other model, at every n of Table 4.",
        "significant on every model",
        Lower(below(RANDOM, ("sss-b",), (HARM,)), "transfer", tested=True),
    ),
    Claim(
        "forgetting",
        f"{PAPER}, abstract and section 1",
        "An aligned model is less harmful as it is than after fine-tuning on harmless data alone.",
        "lower",
        Lower(aligned_below_tuned, "forgetting"),
    ),
    Claim(
        "dualselect-5-10",
        DUALSELECT,
        "DualSelect's Safety Avg. is at least 5.10 points above the strongest baseline, on every model.",
        "5.10 points",
        Ahead(5.10),
    ),
    Claim(
        "dualselect-highest",
        DUALSELECT,
        "DualSelect has the highest Safety Avg. by every judge, on every model.",
        "by every judge",
        Ahead(0.0, every_judge=True),
    ),
    Claim(
        "dualselect-utility",
        DUALSELECT,
        "DualSelect loses no task utility against plain fine-tuning.",
        "no loss",
        Kept(),
    ),
    Claim(
        "dualselect-overhead",
        DUALSELECT,
        "DualSelect has moderate overhead.",
        "moderate",
        Elsewhere("spent.md, each method's time over that of plain training"),
    ),
    Claim(
        "dualselect-retention",
        DUALSELECT,
        "The method extends to continual learning that retains what was learnt.",
        "extends",
        Elsewhere("checks.md, what a second fine-tuning leaves"),
    ),
)
