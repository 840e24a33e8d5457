"""Whether the program's winner is better than what everybody can take, and what each part adds."""
