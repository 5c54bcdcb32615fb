"""Names that would do harm wherever one is taken for a piece of a command."""

NAMES = [
    "x'; touch pwned #",
    "../../up",
    "$(touch pwned)",
    "-rf",
    "größe 🚂",
    "`touch pwned`",
    '"; touch pwned; "',
    "a\ntouch pwned\n",
    "&& touch pwned",
    "| touch pwned",
    "\\'; touch pwned; '",  # in fish a backslash counts within quotes
    "$HOME/${IFS}",
    "!!",
    "tab\there",
    "*",
    "~",
    "%s {0}",
]
FOLDERS = [name for name in NAMES if "/" not in name]
"""The same, without those that name a folder within a folder."""
