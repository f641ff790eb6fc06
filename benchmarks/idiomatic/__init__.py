"""The services as the FastStream and SQLAlchemy tutorials would have them, written as well as such a version can be."""
