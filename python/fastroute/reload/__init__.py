"""Another configuration while requests run: noticed and judged by one process, taken over by another or not at all."""
