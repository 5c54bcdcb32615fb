import signal
import sys

from tests.stages.suite import main

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    sys.exit(main(sys.argv[1:]))
