"""Turn scores into results: metrics, Tables 1-4, Figures 2-7 and the headline, from files only."""
