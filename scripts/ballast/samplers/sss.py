"""sss: Stratified Safety Sampling, the same number from every category (paper section 3.2)."""

from ballast.picks.selection import Selection, by_category, draw_each, random_order, round_robin

NEEDS = ("category",)
SEEDED = True
OPTIONS = {
    "multilabel": (
        ("first-taken", "primary-only"),
        "A row with several categories serves the first that takes it, or its first one.",
    ),
}


def select(pool, features, n, seed, options) -> Selection:
    """Pick round robin over the categories; the seed orders both the categories and the rows within each."""
    queues = draw_each(pool["id"], by_category(pool, features, options["multilabel"]), n, seed)
    order = [int(category) for category in random_order(map(str, queues), seed)]
    return round_robin(queues, order, n)
