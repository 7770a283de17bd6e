"""The claims of the publications as checks: of the tables that they printed, and of a study's own scores."""
