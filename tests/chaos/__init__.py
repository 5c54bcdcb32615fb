"""The whole platform, killed again and again while runs train: nothing is lost, nothing doubled."""
