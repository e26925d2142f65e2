"""Transformers that learn a new task from a handful of examples, and keep learning after they are shipped."""

__version__ = "0.1.0"
