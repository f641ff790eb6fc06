"""Rows as they would lie there if every session had been requested, charged and scheduled through the services."""
