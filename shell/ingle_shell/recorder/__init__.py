"""`ingle shell`: a shell on a terminal of its own, so that what its commands print can be looked up afterwards.

A pseudo-terminal around the whole session is the one way that changes nothing for programs: they find a terminal of
the right size, with colours, job control and Ctrl-C. A `tee` on standard output would take all of that from them.
"""

from ingle_shell.recorder.log import OutputLog, sweep
from ingle_shell.recorder.session import record
from ingle_shell.recorder.tape import Tape

__all__ = ["OutputLog", "Tape", "record", "sweep"]
