"""What has to be in place before the first request: key files, log lines, the server itself."""
