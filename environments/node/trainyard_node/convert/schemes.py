"""How weights can be quantised."""

# By name, the bits of a number and how many numbers of a row share a scale; 0: all of them.
SCHEMES = {"W8A16": (8, 0), "W4A16": (4, 128)}
