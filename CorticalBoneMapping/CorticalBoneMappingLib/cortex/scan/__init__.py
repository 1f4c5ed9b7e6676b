"""What one scan says of itself: noise, blur, slice thickness, and other bone close by."""
