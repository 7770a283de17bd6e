"""Results: what the scores become. Metrics, Tables 1-4, Figures 2-7 and the headline, made from files only."""
