"""The methods that measure the cortex, one module each; `cortex.METHODS` lists them."""
