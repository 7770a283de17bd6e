"""Run jobs: the preloaded process, the manifest, failures, the doctor and the bill."""
