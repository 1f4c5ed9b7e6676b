"""From a mask to the periosteal surface."""
