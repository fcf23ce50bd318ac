"""The engine: from prompts to trajectories."""
