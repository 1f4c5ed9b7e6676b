"""The forms that a pelvis is made of: the socket, nets of balls, and their signed distances."""
