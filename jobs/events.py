"""The kinds of events that happen to a job, told by the platform or by the run itself."""

from functools import partial

from platform_site.events import Severity, register

PLATFORM, RUN = "platform", "run"
_note = partial(register, source=PLATFORM, severity=Severity.INFO)
_warning = partial(register, source=PLATFORM, severity=Severity.WARNING)
_error = partial(register, source=PLATFORM, severity=Severity.ERROR)
_run_note = partial(register, source=RUN, severity=Severity.INFO)
_run_warning = partial(register, source=RUN, severity=Severity.WARNING)

# A move of the job, named after the status that it comes into.
MOVES = (
    _note("queued", words="Queued"),
    _note("starting", words="Starting"),
    _note("running", words="Running"),
    _note("paused", words="Paused"),
    _note("completed", words="Completed"),
    _error("failed", words="Failed"),
    _note("stopped", words="Stopped"),
    _error("lost", words="Lost"),
)
BEGAN_OR_ENDED = MOVES[2:]  # on its machine

# What users and limits ask for.
HELD = _note("held", words="Held in the queue")
RELEASED = _note("released", words="Released into the queue")
PRIORITY = _note("priority", words="Priority changed")
MOVED = _note("moved", words="Moved in the queue")
EDITED = _note("edited", words="Settings changed")
ARCHIVED = _note("archived", words="Put into the archive")
UNARCHIVED = _note("unarchived", words="Taken out of the archive")
IMPORTED = _note("imported", words="Imported")
RENAMED = _note("renamed", words="Renamed")
TAGGED = _note("tagged", words="Tags changed")
NOTED = _note("noted", words="Note changed")
SAID = (TAGGED, NOTED)  # of a job, and nothing that happened to it
GATE_SET = _note("gate set", words="A gate was set before it")
GATE_REMOVED = _note("gate removed", words="Its gate was removed")
PAUSE_ASKED = _note("pause asked", words="Pause asked for")
SAVE_ASKED = _note("save asked", words="Checkpoint asked of the run")
STOP_ASKED = _note("stop asked", words="Stop asked for")
RETRY_CANCELLED = _note("retry cancelled", words="Retry cancelled")
LIMIT = _warning("limit", words="Time limit is over")
RENTAL = _warning("rental", words="The rental ends, and it cannot save")
UNANSWERED = {
    "pause": _warning("pause unanswered", words="The run did not answer to a pause"),
    "save": _warning("save unanswered", words="The run did not answer to a save"),
    "stop": _warning("stop unanswered", words="The run did not answer to a stop"),
}
NOT_ASKED = {
    "pause": _warning("pause failed", words="The pause could not be asked"),
    "save": _warning("save failed", words="The save could not be asked"),
    "stop": _warning("stop failed", words="The stop could not be asked"),
}

# From the claim of a job to its start.
MODEL_FOUND = _note("model found", words="Model found")
CHECKPOINT_REFUSED = _warning("checkpoint refused", words="A checkpoint was passed over")
JOINED = _note("joined", words="Its machines were joined")
NOT_TAKEN_DOWN = _warning("not taken down", words="Its machines were not parted")
LAUNCH_UNSURE = _warning("launch unsure", words="Nobody knows yet whether it started")
CUT_OFF = _warning("start cut off", words="Its start was cut off")
RESUMED = _note("resumed", words="Goes on")

# What is seen of a run.
SILENT = _warning("silent", words="No sign of life")
HEARD_AGAIN = _note("heard again", words="Signs of life again")
STALLED = _warning("stalled", words="A step takes unusually long")
LINES_LEFT_OUT = _warning("lines left out", words="Lines that cannot be read were left out")
LOG_LEFT_OUT = _warning("log left out", words="The rest of the log is not kept here")

OWN_ERROR = _error("own error", words="The user's own code failed")

# Checkpoints that are brought from a far machine.
FETCH_ASKED = _note("checkpoint asked for", words="Checkpoint asked for")
FETCH_NOT_WANTED = _note("checkpoint not wanted", words="Checkpoint not wanted any more")
FETCHED = _note("checkpoint fetched", words="Checkpoint brought here")
NOT_FETCHED = _warning("checkpoint not fetched", words="Checkpoint not brought here")
FETCH_CANCELLED = _note("checkpoint fetch cancelled", words="Bringing the checkpoint was cancelled")

# Deleting what a job made.
DELETION_ASKED = _note("artifact deletion asked", words="Deletion asked for")
DELETED = _note("artifact deleted", words="Deleted")
NOT_DELETED = _warning("artifact not deleted", words="Not deleted")

# Deleting a job with all that it has.
JOB_DELETION_ASKED = _note("job deletion asked", words="Deletion of the job asked for")
JOB_NOT_DELETED = _warning("job not deleted", words="The job was not deleted")

# What a run writes into its events.jsonl: ``trainyard_node.events`` has the same names.
RUN_STARTED = _run_note("started", words="The run's process started")
RUN_PHASE = _run_note("phase", words="Start-up")
RUN_CHECKPOINT = _run_note("checkpoint", words="Checkpoint saved")
RUN_PAUSED = _run_note("paused", words="Paused")
RUN_STOP_ASKED = _run_note("stop_asked", words="The run was told to end")
RUN_KILLED = _run_warning("killed", words="The run was killed")
RUN_LEFTOVERS_ENDED = _run_note("leftovers_ended", words="Processes left behind were ended")
RUN_LEFTOVERS_STUCK = _run_warning("leftovers_stuck", words="Processes left behind could not end")
RUN_ANSWERS_LOST = _run_warning("answers_lost", words="Answers failed and were not trained on")
RUN_VALIDATION_LOST = _run_warning("validation_lost", words="Answers failed in validation")
RUN_PROMPTS_LEFT_OUT = _run_warning("prompts_left_out", words="Prompts were left out")
RUN_ANSWERS_CUT = _run_warning("answers_cut", words="Answers were cut")
RUN_ROWS_CUT = _run_warning("rows_cut", words="Rows were cut")
RUN_EXITED = _run_note("exited", words="The run's process ended")
SAVES = frozenset({RUN_CHECKPOINT, RUN_PAUSED})  # after these there is another checkpoint

# What an export and other work on models tell of themselves, beside the rest.
RUN_PLANNED = _run_note("planned", words="It said how much it will do")
RUN_MERGED = _run_note("merged", words="The shards were merged")
RUN_CHECKING = _run_note("checking", words="What was made is checked")
RUN_EXPORTED = _run_note("exported", words="The model folder is whole")
RUN_MADE = _run_note("made", words="What was asked for is made")
RUN_TRIED = _run_note("tried", words="A model was tried in the average")
RUN_COMPARED = _run_note("compared", words="The models are compared")
RUN_EVALUATED = _run_note("evaluated", words="The model is evaluated")
RUN_REFUSED = _run_warning("refused", words="It was refused")

# What a rehearsal and a dry-fire tell: each part that they tried.
RUN_REHEARSED = _run_note("rehearsed", words="A part was rehearsed")
RUN_DRY_FIRED = _run_note("dry_fired", words="A part was dry-fired")
RUN_FAULT_FOUND = _run_warning("fault_found", words="A fault was found")
