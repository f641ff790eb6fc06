"""The words the services share: frozen message types, and the topics that carry them. No behaviour."""
