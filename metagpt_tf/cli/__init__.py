"""The command line `metagpt-tf`."""
