"""Transformers that learn a new task from a handful of examples, and ship as files that keep learning."""

__version__ = "0.1.0"
