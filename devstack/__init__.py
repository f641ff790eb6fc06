"""The whole system on one machine, with nothing to install: every part of the stack behind one small interface."""
