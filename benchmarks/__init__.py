"""How fast, and with how much memory, against others: `make bench` writes docs/benchmarks.md."""
