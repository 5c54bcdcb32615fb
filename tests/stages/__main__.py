import signal
import sys

from tests.stages.suite import main

if __name__ == "__main__":
    # SIGTERM as Ctrl-C, which whoever starts us in the background may have had ignored.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))
