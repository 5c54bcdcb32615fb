"""Code that runs next to the model. Importing this package imports nothing else."""

__version__ = "0.1.0"
