"""Registration: how far an IHC image lies from its H&E."""
