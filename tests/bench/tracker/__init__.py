"""What a training step allocates at most, without a GPU: PyTorch's own code on fake tensors.

``environments/verl-0.9/.venv/bin/python -m tests.bench.tracker --help`` says how to ask.
"""
