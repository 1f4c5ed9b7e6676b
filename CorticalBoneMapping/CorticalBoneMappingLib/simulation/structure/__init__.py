"""Bone with microstructure: a network of struts and plates, pores, a trabecularised zone, a rough surface."""
