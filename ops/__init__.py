"""The operator's side of the bus: topics provisioned, commands sent and followed to their end."""
