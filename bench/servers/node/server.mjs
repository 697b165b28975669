// npm's oidc-provider with what the benchmark asks for. Usage: node server.mjs PORT ADAPTER CLIENTS FILE
// ADAPTER is "memory" or "sqlite" (FILE), CLIENTS how many machines there are beside the first one.

import { argon2Sync, generateKeyPairSync, timingSafeEqual } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import Provider from 'oidc-provider';

const [port, adapter, clients, file] = process.argv.slice(2);
const SECRET = 'a-secret-of-the-benchmark-and-of-nothing-else';
const PASSWORD = process.env.BENCH_PASSWORD;
const RESOURCES = { 'https://rs256.example/api': 'RS256', 'https://es256.example/api': 'ES256' };
const LIFETIME = 600;
const KEYS = 'keys.json';

const { Records } = await import(adapter === 'sqlite' ? './sqlite_records.mjs' : './memory_records.mjs');

function privateKey(type, options, alg) {
  const jwk = generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' });
  return { ...jwk, alg, use: 'sig', kid: `bench-${alg}` };
}

if (!existsSync(KEYS)) {
  const keys = [privateKey('rsa', { modulusLength: 2048 }, 'RS256'), privateKey('ec', { namedCurve: 'P-256' }, 'ES256')];
  writeFileSync(KEYS, JSON.stringify(keys), { mode: 0o600 });
}

// The parameters of mcp-core, so that both do the same work for a password.
function hashed(password, salt) {
  return argon2Sync('argon2id', { message: password, nonce: salt, memory: 19456, passes: 2, parallelism: 1, tagLength: 32 });
}

const salt = Buffer.alloc(16, 7);
const passwordHash = hashed(PASSWORD, salt);

const provider = new Provider(`http://127.0.0.1:${port}`, {
  adapter: Records.open(file),
  jwks: { keys: JSON.parse(readFileSync(KEYS)) },
  clients: [
    {
      client_id: 'machine',
      client_secret: SECRET,
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    },
    {
      client_id: 'app',
      client_secret: SECRET,
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: ['https://app.example/callback'],
    },
  ],
  scopes: ['openid', 'offline_access', 'api:read'],
  cookies: { keys: ['for the benchmark only'] },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: (_ctx, resource) => ({
        scope: 'api:read',
        audience: resource,
        accessTokenFormat: 'jwt',
        accessTokenTTL: LIFETIME,
        jwt: { sign: { alg: RESOURCES[resource] } },
      }),
    },
  },
  pkce: { required: () => true },
  rotateRefreshToken: true,
  findAccount: (_ctx, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
  ttl: {
    AccessToken: LIFETIME,
    AuthorizationCode: 60,
    ClientCredentials: LIFETIME,
    IdToken: LIFETIME,
    Interaction: 600,
    RefreshToken: 86400,
    Grant: 86400,
    Session: 86400,
  },
});

async function formOf(request) {
  let text = '';
  for await (const part of request) text += part;
  return new URLSearchParams(text);
}

function page(form) {
  return `<!doctype html><title>Benchmark</title><form method="post">${form}</form>`;
}

async function login(ctx) {
  const form = await formOf(ctx.req);
  const isRight = timingSafeEqual(hashed(form.get('password') ?? '', salt), passwordHash);
  if (!isRight) return ctx.throw(400, 'wrong');
  return provider.interactionFinished(ctx.req, ctx.res, { login: { accountId: form.get('username') } });
}

async function consent(ctx, { session, params, prompt, grantId }) {
  await formOf(ctx.req);
  const known = grantId ? await provider.Grant.find(grantId) : undefined;
  const grant = known ?? new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  if (prompt.details.missingOIDCScope) grant.addOIDCScope(prompt.details.missingOIDCScope.join(' '));
  for (const [resource, scopes] of Object.entries(prompt.details.missingResourceScopes ?? {})) {
    grant.addResourceScope(resource, scopes.join(' '));
  }
  const result = { consent: { grantId: await grant.save() } };
  return provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: true });
}

provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith('/interaction/')) return next();
  const details = await provider.interactionDetails(ctx.req, ctx.res);
  const isLogin = details.prompt.name === 'login';
  if (ctx.method === 'POST') {
    ctx.respond = false;
    return isLogin ? login(ctx) : consent(ctx, details);
  }
  const fields = '<input name="username"><input name="password" type="password">';
  ctx.type = 'html';
  ctx.body = page(`${isLogin ? fields : ''}<button>go on</button>`);
});

for (let number = 0; number < Number(clients); number += 1) {
  const id = `machine${number}`;
  if (await Records.isNew('Client', id)) {
    await new Records('Client').upsert(id, {
      client_id: id,
      client_secret: SECRET,
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    });
  }
}

provider.listen(Number(port), '127.0.0.1');
