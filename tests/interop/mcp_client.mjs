// An MCP client on either generation of the TypeScript SDK. One line of JSON on standard input says what to do:
//
//   {"sdk": 1 | 2, "url": …, "issuer": …, "kind": "dynamic" | "document" | "secret" | "key", …}
//
// It says {"open": URL} where a person has to sign in, reads the address that the browser ended at as a line, and says what
// the server's `whoami` said, before and after a refresh. For machines there is neither a person nor a refresh.
import { createInterface } from "node:readline";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const read = async () => (await lines.next()).value;
const say = (value) => console.log(JSON.stringify(value));
const given = JSON.parse(await read());
const sdk = given.sdk === 1 ? await first() : await import("@modelcontextprotocol/client");

async function first() {
  const root = "@modelcontextprotocol/sdk/client";
  const names = ["index.js", "streamableHttp.js", "auth.js", "auth-extensions.js"];
  return Object.assign({}, ...(await Promise.all(names.map((name) => import(`${root}/${name}`)))));
}

// A program on a device: it keeps everything in memory, and its port is another one each time.
class Person {
  state_ = crypto.randomUUID();
  registrations = 0;

  get redirectUrl() {
    return given.callback;
  }

  get clientMetadataUrl() {
    return given.document;
  }

  get clientMetadata() {
    return {
      client_name: "A TypeScript editor",
      redirect_uris: [given.callback],
      grant_types: ["authorization_code", "refresh_token"],
      response_types: ["code"],
      token_endpoint_auth_method: "none",
    };
  }

  state() {
    return this.state_;
  }

  clientInformation() {
    return this.client;
  }

  saveClientInformation(client) {
    this.client = client;
    this.registrations += 1;
  }

  tokens() {
    return this.tokens_;
  }

  saveTokens(tokens) {
    this.tokens_ = tokens;
  }

  redirectToAuthorization(url) {
    this.opened = url;
  }

  saveCodeVerifier(verifier) {
    this.verifier = verifier;
  }

  codeVerifier() {
    return this.verifier;
  }
}

function machine() {
  const known = { clientId: given.client_id, scope: given.scope, expectedIssuer: given.issuer };
  return given.kind === "secret"
    ? new sdk.ClientCredentialsProvider({ ...known, clientSecret: given.client_secret })
    : new sdk.PrivateKeyJwtProvider({ ...known, privateKey: given.private_key, algorithm: given.algorithm });
}

const authProvider = given.kind === "secret" || given.kind === "key" ? machine() : new Person();
const transport = () => new sdk.StreamableHTTPClientTransport(new URL(given.url), { authProvider });

async function whoami() {
  const client = new sdk.Client({ name: "interop", version: "1.0.0" });
  await client.connect(transport());
  const result = await client.callTool({ name: "whoami", arguments: {} });
  await client.close();
  return result.structuredContent;
}

async function signIn() {
  try {
    await whoami();
    throw new Error("the server let somebody in without a token");
  } catch (error) {
    if (!(error instanceof sdk.UnauthorizedError)) throw error;
  }
  say({ open: authProvider.opened.href });
  const answer = new URL(await read()).searchParams;
  if (answer.get("state") !== authProvider.state_) throw new Error("state differs");
  await transport().finishAuth(given.sdk === 1 ? answer.get("code") : answer);
}

if (authProvider instanceof Person) {
  await signIn();
  const before = await whoami();
  const old = authProvider.tokens_;
  authProvider.tokens_ = { ...old, access_token: "expired" };
  const after = await whoami();
  const { client, registrations, tokens_: tokens } = authProvider;
  say({ before, after, client, registrations, old, tokens });
} else {
  say({ before: await whoami() });
}
process.exit(0);
