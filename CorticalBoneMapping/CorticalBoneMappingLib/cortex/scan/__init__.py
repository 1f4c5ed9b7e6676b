"""Estimate noise, blur, slice thickness, and other bone close by from one scan."""
