import signal
import sys

from tests.stages.suite import main

if __name__ == "__main__":
    # SIGTERM acts like Ctrl-C. A shell that starts us in the background lets us ignore Ctrl-C.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))
