"""The services as the FastStream and SQLAlchemy documentation would have them: see README.md."""
