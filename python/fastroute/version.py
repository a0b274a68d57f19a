"""The version, without importing the extension or the package's metadata (45 ms)."""

VERSION = "0.1.0"
