"""The tutorial's verbs, each a few lines over the library, and the quickstart."""
