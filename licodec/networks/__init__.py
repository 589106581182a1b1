"""Float networks, which packs are made of. Torch is needed here."""
