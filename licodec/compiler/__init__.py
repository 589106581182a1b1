"""From float networks to programs. Torch is needed here."""
