"""From a femur to the average femur, and maps along with it."""
