"""An import holds blocks, never the file."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
IMPORT = """
import sys
from pathlib import Path
from datasets.formats.source import import_file
path = Path(sys.argv[1])
facts = import_file(path, path.with_suffix(".out"))
# Not ru_maxrss: across fork and exec that keeps the peak of the process that started this one.
peak = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
print(peak, facts.rows, facts.bad)
"""
MIB = 2**20
ROW = b'{"prompt":"%s","n":123}\n' % (b"Some words to learn. " * 200)


def peak(path: Path) -> tuple[int, int, int]:
    """Peak memory in MiB, rows and bad rows of an import in a process of its own."""
    answer = subprocess.run(
        [sys.executable, "-c", IMPORT, str(path)], cwd=ROOT, capture_output=True, check=True
    )
    kilobytes, rows, bad = map(int, answer.stdout.split())
    return kilobytes // 1024, rows, bad


def written(path: Path, size: int, row: bytes = ROW) -> tuple[Path, int]:
    rows = size // len(row)
    with path.open("wb") as file:
        for _ in range(rows // 100):
            file.write(row * 100)
    return path, rows // 100 * 100


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    small, few = written(tmp_path / "small.jsonl", 20 * MIB)
    large, many = written(tmp_path / "large.jsonl", 200 * MIB)
    used, rows, _ = peak(small)
    assert rows == few
    more, rows, _ = peak(large)
    assert rows == many
    assert more < used + 120, (used, more)  # holding it would take 180 and more
    assert more < 450  # of the 500 MB that two gigabytes may take


def test_a_line_of_100_mb_is_not_held(tmp_path: Path) -> None:
    used = []
    for size in (100, 400):
        path = tmp_path / f"{size}.jsonl"
        with path.open("wb") as file:
            file.write(b'{"n":1}\n{"text":"')
            file.seek(size * MIB, 1)  # a hole, which reads as zeros
            file.write(b'"}\n{"n":3}\n')
        more, rows, bad = peak(path)
        assert (rows, bad) == (2, 1)
        used.append(more)
    assert max(used) < 350, used
    assert used[1] < used[0] + 40, used
