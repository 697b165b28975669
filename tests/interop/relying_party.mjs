// A relying party on openid-client, which is strict: it refuses what OpenID Connect Core says to refuse.
//
// One line of JSON on standard input says who it is. It says {"open": URL}, reads the address that the browser ended at as a
// line, and says the claims of the ID token, the profile, what introspection told, and where to go for signing out.
import { createInterface } from "node:readline";
import * as oidc from "openid-client";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const read = async () => (await lines.next()).value;
const say = (value) => console.log(JSON.stringify(value));
const given = JSON.parse(await read());

const authentications = {
  client_secret_basic: () => oidc.ClientSecretBasic(given.client_secret),
  client_secret_post: () => oidc.ClientSecretPost(given.client_secret),
  private_key_jwt: () => oidc.PrivateKeyJwt(key),
  none: () => oidc.None(),
};
const key = given.private_key && (await importKey(given.private_key));

async function importKey(jwk) {
  const algorithm = { name: "ECDSA", namedCurve: "P-256" };
  return crypto.subtle.importKey("jwk", jwk, algorithm, false, ["sign"]);
}

const config = await oidc.discovery(
  new URL(given.issuer),
  given.client_id,
  given.metadata,
  authentications[given.method](),
  { execute: [oidc.allowInsecureRequests] }, // plain http on loopback
);
const verifier = oidc.randomPKCECodeVerifier();
const [state, nonce] = [oidc.randomState(), oidc.randomNonce()];
const asked = {
  redirect_uri: given.redirect_uri,
  scope: given.scope,
  state,
  nonce,
  code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
  code_challenge_method: "S256",
  max_age: "3600",
};
const open = given.pushed
  ? await oidc.buildAuthorizationUrlWithPAR(config, asked)
  : oidc.buildAuthorizationUrl(config, asked);
say({ open: open.href });
const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, maxAge: 3600 };
const tokens = await oidc.authorizationCodeGrant(config, new URL(await read()), { ...checks, idTokenExpected: true });
const claims = tokens.claims();
const profile = await oidc.fetchUserInfo(config, tokens.access_token, claims.sub);
const introspected = given.method === "none" ? null : await oidc.tokenIntrospection(config, tokens.access_token);
const refreshed = await oidc.refreshTokenGrant(config, tokens.refresh_token);
const out = oidc.buildEndSessionUrl(config, {
  id_token_hint: tokens.id_token,
  post_logout_redirect_uri: given.post_logout_redirect_uri,
});
await oidc.tokenRevocation(config, refreshed.refresh_token ?? tokens.refresh_token);
say({ claims, profile, introspected, refreshed: Boolean(refreshed.access_token), out: out.href });
process.exit(0);
