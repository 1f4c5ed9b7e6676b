"""The model of one line through the cortex: profile, blur, three layers, and the fit of many lines."""
