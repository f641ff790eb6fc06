"""The rules changed by hand, one line at a time: whoever holds a rule has to notice."""
