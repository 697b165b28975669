"""``mcp-core-cloud``: credentials of a person's clouds for the programs on their machine, by one of their API keys.

Speaks what cloud SDKs ask a program for: AWS ``credential_process``, Google's executable source, Alibaba's external process,
Azure's assertion file, OCI's configuration, a plugin of kubectl.
Nothing is kept here but the key: the server gives short-lived credentials, and SDKs remember those themselves.
"""
