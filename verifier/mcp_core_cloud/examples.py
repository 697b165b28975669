"""What ``--help`` shows to paste."""

EXAMPLES = """
AWS, in ~/.aws/config:

  [profile work]
  credential_process = mcp-core-cloud credentials work --format aws
  region = eu-central-1

Google Cloud, the file that GOOGLE_APPLICATION_CREDENTIALS names (and GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1):

  {
    "type": "external_account",
    "audience": "//iam.googleapis.com/projects/N/locations/global/workloadIdentityPools/POOL/providers/PROVIDER",
    "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
    "token_url": "https://sts.googleapis.com/v1/token",
    "credential_source": {
      "executable": {"command": "mcp-core-cloud credentials work --format gcp", "timeout_millis": 30000}
    }
  }

Azure, in the environment of a program, and a timer that runs the last line every four minutes:

  AZURE_TENANT_ID=… AZURE_CLIENT_ID=… AZURE_FEDERATED_TOKEN_FILE=$HOME/.azure/assertion
  mcp-core-cloud credentials work --format azure --output $HOME/.azure/assertion

Alibaba Cloud, a profile in ~/.aliyun/config.json:

  {"name": "work", "mode": "External", "process_command": "mcp-core-cloud credentials work --format alibaba"}

Oracle Cloud, and a timer that runs the first line every half hour:

  mcp-core-cloud credentials work --format oci --output $HOME/.oci/work
  oci --config-file $HOME/.oci/work/config --auth security_token os ns get

Kubernetes, a user in ~/.kube/config:

  exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: mcp-core-cloud,
         args: [credentials, work, --format, kubernetes]}

A library that exchanges a token in a file by itself, and a timer as for Azure:

  mcp-core-cloud credentials work --format token --output $HOME/token

Anything else:

  eval "$(mcp-core-cloud credentials work --format env)"

Make the key on your account page, for cloud credentials. Then: mcp-core-cloud configure
or in the environment: MCP_CORE_ISSUER, MCP_CORE_KEY_ID, and MCP_CORE_KEY_SECRET or MCP_CORE_KEY_SECRET_FILE
"""
