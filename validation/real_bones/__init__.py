"""An average femur and its shape model against real bones, and simulated people against real ones."""
