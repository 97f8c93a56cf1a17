"""What the product knows, as values and pure functions: no I/O, no clock, no asyncio."""
