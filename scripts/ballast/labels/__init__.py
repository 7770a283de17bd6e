"""Label each row of a pool with its behaviour (T1-T4) and its harm categories."""
