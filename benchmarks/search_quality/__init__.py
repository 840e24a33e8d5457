"""How accurate a network each search strategy finds."""
