"""Check the claims of the publications against the tables that they printed and against a study's scores."""
