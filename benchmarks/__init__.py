"""Time and memory of the pipeline against its peers: `make bench` writes docs/benchmarks.md."""
