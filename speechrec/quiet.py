"""Native libraries' chatter kept off standard error, unless something goes wrong."""

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

# Standard error is one for all threads: who diverts it must give it back before another diverts it.
_DIVERTING = threading.RLock()


@contextmanager
def native_chatter_hidden() -> Iterator[None]:
    """Hold back what is written to file descriptor 2; show it if the block raises.

    TensorFlow logs its start and each conversion before any setting of its own can take effect.
    """
    with _DIVERTING, ExitStack() as stack:
        try:
            sys.stderr.flush()
            # Where nothing can be written, chatter is no reason to stop.
            held = stack.enter_context(tempfile.TemporaryFile())
            saved = os.dup(2)
        except (OSError, AttributeError):
            yield
            return
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            sys.stderr.flush()
            held.seek(0)
            os.write(saved, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
