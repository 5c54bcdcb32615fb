from datetime import UTC, datetime

from compute.runners.base import FileFact
from jobs.verl.checkpoints import Checkpoint, find_checkpoints


def test_files_are_grouped_by_step_newest_first() -> None:
    files = [
        FileFact("global_step_9/actor/model.pt", 100, 10.0),
        FileFact("global_step_9/actor/optim.pt", 50, 20.0),
        FileFact("global_step_10/model.pt", 7, 30.0),
    ]
    ten, nine = datetime.fromtimestamp(30, UTC), datetime.fromtimestamp(20, UTC)
    assert find_checkpoints(files, latest=9) == [
        Checkpoint(10, "checkpoints/global_step_10", 7, ten, has_hf=False, complete=False),
        Checkpoint(9, "checkpoints/global_step_9", 150, nine, has_hf=False, complete=True),
    ]


def test_a_folder_in_hugging_face_format_is_seen() -> None:
    files = [FileFact("checkpoints/global_step_1/actor/huggingface/model.safetensors", 1, 1.0)]
    [checkpoint] = find_checkpoints(files, 1)
    assert checkpoint.has_hf is True
    assert checkpoint.path == "checkpoints/global_step_1"


def test_a_configuration_alone_is_no_model() -> None:
    files = [FileFact("global_step_1/actor/huggingface/config.json", 1, 1.0)]
    assert find_checkpoints(files, 1)[0].has_hf is False


def test_other_files_are_no_checkpoints() -> None:
    files = [
        FileFact("latest_checkpointed_iteration.txt", 2, 1.0),
        FileFact("global_step_x/model.pt", 2, 1.0),
        FileFact("global_step_5.tmp/model.pt", 2, 1.0),
        FileFact("global_step_5", 2, 1.0),
    ]
    assert find_checkpoints(files, 5) == []
