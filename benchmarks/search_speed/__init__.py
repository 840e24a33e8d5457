"""How many architectures a second a search looks at."""
