"""Inference for a whole map: random fields, permutation, TFCE, false discovery rate, bands."""
