"""A model of about a million parameters and small arithmetic to train it on."""
