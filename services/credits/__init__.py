"""Credits: who has how many, what a session was charged, and what goes back."""
