"""fastroute: a low-latency gateway in front of language-model providers.

Importing it starts nothing: no thread, no socket, no extension. `fastroute.core` has the JSON, SSE and token functions
for other programs; `fastroute serve` runs the gateway.
"""

from fastroute import version

__version__ = version.VERSION

__all__ = ["__version__"]
