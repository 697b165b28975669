"""``python -m mcp_core_cloud``."""

from mcp_core_cloud.command import main

raise SystemExit(main())
