"""`make chaos`: the whole system under load while everything beneath it fails, and an audit of what became of it."""
