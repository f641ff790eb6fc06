"""The command line `coaching`: reads what is typed, asks the rest of `ops`, and prints."""
