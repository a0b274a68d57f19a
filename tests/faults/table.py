"""The fault table: every way an upstream may fail us that the gateway promises something about.

One rule: what is promised stands here and nowhere else; tests hold the gateway to it, the page is printed from it.
"""

from faults.broken import BROKEN_OFF
from faults.fault import Fault
from faults.nonsense import NO_ANSWERS
from faults.refusals import REFUSALS
from faults.transport import TRANSPORT

FAULTS: tuple[Fault, ...] = (*REFUSALS, *TRANSPORT, *BROKEN_OFF, *NO_ANSWERS)
