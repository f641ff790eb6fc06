"""What a message costs, always beside something else in the same run: these numbers mean little alone."""
