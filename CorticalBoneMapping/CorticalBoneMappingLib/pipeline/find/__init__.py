"""From a CT, a label map or a surface to one femur, with a verdict on how sure its surface is."""
