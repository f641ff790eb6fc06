"""How messages move reliably. No word of the domain in it."""
