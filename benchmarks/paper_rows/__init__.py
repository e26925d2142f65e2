"""The experiments behind `papers.py`, one module for each kind of task."""
