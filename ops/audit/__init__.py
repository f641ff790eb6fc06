"""What must be true, worked out again from the log and from the databases; and where it is not.

findings.py        what can be found
reading.py         records as the rules take them
extent.py          how far the log was read, and what had been handled by then
log_rules.py       what the log says of itself: commands.py, sessions.py, verdicts.py, accounts.py, settlement.py,
                   emails.py, letters.py
rows.py            what the databases say; database_rules.py holds it against itself
differences.py     what the one says and the other does not
log_reader.py, database_reader.py, auditing.py   the only ones here that read anything
"""
