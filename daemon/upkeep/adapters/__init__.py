"""The doors to other technology: one room each, third-party errors translated at the threshold."""
