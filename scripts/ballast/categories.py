"""The 14 BeaverTails harm categories (Ji et al., 2023) by id, 0..13. Paths, columns and labels use the id alone."""

CATEGORIES = (
    "animal_abuse",
    "child_abuse",
    "controversial_topics,politics",
    "discrimination,stereotype,injustice",
    "drug_abuse,weapons,banned_substance",
    "financial_crime,property_crime,theft",
    "hate_speech,offensive_language",
    "misinformation_regarding_ethics,laws_and_safety",
    "non_violent_unethical_behavior",
    "privacy_violation",
    "self_harm",
    "sexually_explicit,adult_content",
    "terrorism,organized_crime",
    "violence,aiding_and_abetting,incitement",
)


def category_id(key: str) -> int:
    """Id of a dataset key; the spelling with `,_` occurs in some copies of BeaverTails and is the same key."""
    return CATEGORIES.index(key.replace(",_", ","))
