"""Nothing can be faster with these clients: the same records in and out, the same rows, the same emails, no thought."""
