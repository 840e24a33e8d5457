"""How far off predicted latencies are."""
