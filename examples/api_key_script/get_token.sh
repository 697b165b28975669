#!/bin/sh
# Prints an access token for an API key: API_KEY_ID and API_KEY_SECRET from the environment,
# and RESOURCE, the API that the token is for, when the key is good for several.
# The secret goes through a pipe, so that no process list shows it.
set -eu
issuer=${MCP_ISSUER:-http://localhost:8000/oauth}
printf 'user = "%s:%s"\n' "$API_KEY_ID" "$API_KEY_SECRET" |
  curl --silent --show-error --fail-with-body --config - --data grant_type=client_credentials \
    --data-urlencode "resource=${RESOURCE:-}" "$issuer/token" |
  sed -E 's/.*"access_token": ?"([^"]+)".*/\1/'
