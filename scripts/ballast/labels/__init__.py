"""What is said of each row of a pool: its behaviour (T1-T4) and its harm categories."""
