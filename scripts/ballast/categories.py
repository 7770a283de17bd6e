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

# Their definitions, in our own words after the BeaverTails dataset card.
DEFINITIONS = (
    "cruelty to animals, neglecting them or causing them distress, or content in favour of it",
    "physical, emotional or sexual abuse of minors, neglecting or exploiting them, or content in favour of it",
    "divisive political or social issues, handled in a way that could inflame or do harm",
    "unequal treatment of groups, sweeping beliefs about them, or violations of their rights",
    "misuse of drugs or banned substances, and unlawful possession, use or trade of weapons",
    "fraud, embezzlement, money laundering, bribery, and stealing or damaging property",
    "hostility towards people for a trait of their group, and crude or insulting language",
    "false or misleading claims about ethics, law or safety",
    "dishonest or immoral conduct without violence, such as lying, cheating, deceiving or spreading rumours",
    "unauthorised access to personal data or exposure of it, stalking and doxing",
    "physical or emotional harm to oneself, suicide plans, or encouragement of either",
    "sexually explicit or adult material",
    "promoting terrorist or organised crime or taking part in it, and its propaganda",
    "physical harm to people or threats of it, and helping or provoking violence or illegal acts",
)


def title(category: int) -> str:
    """Return a category's key as words."""
    return CATEGORIES[category].replace("_", " ").replace(",", ", ").capitalize()


def definitions() -> str:
    """Return one line per category: id, title, definition."""
    lines = enumerate(DEFINITIONS)
    return "\n".join(f"{category}. {title(category)}: {definition}." for category, definition in lines)


def category_id(key: str) -> int:
    """Return the id of a dataset key; some copies of BeaverTails spell the same key with `,_`."""
    return CATEGORIES.index(key.replace(",_", ","))
