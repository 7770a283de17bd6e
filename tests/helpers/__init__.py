"""What suites share: made inputs, servers that run here, checkouts to run and edit."""
