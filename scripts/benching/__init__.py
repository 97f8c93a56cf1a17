"""What the benchmarks share: a small application, servers to compare with, a crowd of clients, and measures."""
