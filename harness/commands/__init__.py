"""The commands: one short file each; what they print is printed here."""

from typing import Any

# Every command's `context_settings`: click by itself knows --help alone, and shows no defaults.
HELP: dict[str, Any] = {"help_option_names": ["-h", "--help"], "show_default": True}
