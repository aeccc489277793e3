"""Speed, measured side by side: ssl_bench against what people use today. Run by ``scripts/benchmark``."""
