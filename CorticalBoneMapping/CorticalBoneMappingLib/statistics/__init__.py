"""Group statistics on the average femur: designs, models and what may be concluded from them."""
