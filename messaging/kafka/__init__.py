"""The only package that knows FastStream and aiokafka: records in, records out, and what a look at them tells."""
