"""Adapters: small linear branches beside layers of a frozen network, scaled by a rate mode."""
