"""The commands: one short file each; what they print is printed here."""
