"""MCP Core: an OAuth 2.1 authorization server and OpenID Provider."""
