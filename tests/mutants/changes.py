"""All changes."""

from tests.mutants import elsewhere, in_booking, in_credits

CHANGES = (*in_booking.CHANGES, *in_credits.CHANGES, *elsewhere.CHANGES)
