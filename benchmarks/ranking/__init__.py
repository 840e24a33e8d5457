"""How well a hypernetwork ranks networks."""
