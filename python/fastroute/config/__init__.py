"""The configuration: what may be written (`schema`), and how a file becomes it or a list of its mistakes (`load`)."""

from fastroute.config.load import find_mistakes, load
from fastroute.config.schema import Config, pack, unpack

__all__ = ["Config", "find_mistakes", "load", "pack", "unpack"]
