"""How much faster networks that begin alike are scored together."""
