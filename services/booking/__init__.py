"""Booking: what may happen to a session, and whether a cancellation is refundable."""
