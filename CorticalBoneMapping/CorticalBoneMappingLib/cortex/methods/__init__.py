"""The methods that measure the cortex, one file each; `cortex.METHODS` lists them."""
