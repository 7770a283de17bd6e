"""Fine-tuning: batches, checkpoints, losses, adapters and their cards."""
