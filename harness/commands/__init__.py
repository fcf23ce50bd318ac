"""The commands: one short file each; what they print is printed here."""

# Every command's `context_settings`: click knows --help alone by itself.
HELP = {"help_option_names": ["-h", "--help"]}
