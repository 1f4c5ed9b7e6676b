"""Commands for one femur."""
