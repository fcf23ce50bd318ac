"""The only room that knows lm-eval: its model class, filters, and the command line."""
