"""Administration from a terminal: ``mcp-core``. One module for each group of commands.

Holds no rules: every command calls a service. A command's module is imported when the command is called.
Exit codes: 0 done, 1 refused or failed (one line says why), 2 wrong usage.
"""
