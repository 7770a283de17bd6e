"""The threads of each job. Every job's identity covers this file: other threads give sums with other last digits."""

THREADS = "1"
