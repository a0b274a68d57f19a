"""Ways in that Python takes part in; the edge door is the engine's own."""
