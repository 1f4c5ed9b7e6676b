"""The simulated microstructure of bone against published numbers, a real CT, and what HR-pQCT reads of it."""
