"""A model of about a million parameters, and arithmetic problems to train it on."""
