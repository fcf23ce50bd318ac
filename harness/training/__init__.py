"""From a recipe to a checkpoint: data, base, measurements, and what is published."""
