// The peer: npm's oidc-provider with what the benchmark needs, everything kept in this process's memory.
// Usage: node server.mjs PORT CHAINS. Prints one line of JSON when it listens: {"refresh_tokens": [...]}.

import { generateKeyPairSync } from 'node:crypto';
import Provider from 'oidc-provider';

const port = Number(process.argv[2]);
const chains = Number(process.argv[3]);
const RESOURCES = { 'https://rs256.example/api': 'RS256', 'https://es256.example/api': 'ES256' };
const LIFETIME = 600;

// The adapter that ships with the package walks all tokens of a grant at each write. This one does not.
const records = new Map();
const members = new Map();

class Memory {
  constructor(kind) {
    this.kind = kind;
  }

  async upsert(id, payload) {
    records.set(`${this.kind}:${id}`, payload);
    if (payload.grantId) {
      if (!members.has(payload.grantId)) members.set(payload.grantId, new Set());
      members.get(payload.grantId).add(`${this.kind}:${id}`);
    }
  }

  async find(id) {
    return records.get(`${this.kind}:${id}`);
  }

  async consume(id) {
    records.get(`${this.kind}:${id}`).consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    records.delete(`${this.kind}:${id}`);
  }

  async revokeByGrantId(grantId) {
    for (const key of members.get(grantId) ?? []) records.delete(key);
    members.delete(grantId);
  }
}

function privateKey(type, options, alg) {
  const jwk = generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' });
  return { ...jwk, alg, use: 'sig', kid: `bench-${alg}` };
}

const issuer = `http://127.0.0.1:${port}`;
const provider = new Provider(issuer, {
  adapter: Memory,
  jwks: {
    keys: [
      privateKey('rsa', { modulusLength: 2048 }, 'RS256'),
      privateKey('ec', { namedCurve: 'P-256' }, 'ES256'),
    ],
  },
  clients: [
    {
      client_id: 'machine',
      client_secret: 'a-secret-of-the-benchmark-and-of-nothing-else',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    },
    {
      client_id: 'app',
      token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: ['http://localhost:9/callback'],
      application_type: 'native',
    },
  ],
  scopes: ['openid', 'offline_access', 'api:read'],
  cookies: { keys: ['for the benchmark only'] },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => 'https://rs256.example/api',
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
  rotateRefreshToken: true,
  findAccount: (_ctx, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
  interactions: { url: () => '/never' },
  ttl: {
    AccessToken: LIFETIME,
    ClientCredentials: LIFETIME,
    IdToken: LIFETIME,
    RefreshToken: 86400,
    Grant: 86400,
    Session: 86400,
  },
});

async function refreshToken(client, resource) {
  const accountId = '01900000-0000-7000-8000-000000000000';
  const grant = new provider.Grant({ accountId, clientId: client.clientId });
  grant.addOIDCScope('openid offline_access');
  grant.addResourceScope(resource, 'api:read');
  const grantId = await grant.save();
  return new provider.RefreshToken({
    accountId,
    client,
    grantId,
    gty: 'authorization_code',
    scope: 'openid offline_access api:read',
    resource,
    authTime: Math.floor(Date.now() / 1000),
    nonce: 'nonce',
  }).save();
}

const app = await provider.Client.find('app');
const tokens = [];
for (let index = 0; index < chains; index += 1) tokens.push(await refreshToken(app, 'https://es256.example/api'));

provider.listen(port, '127.0.0.1', () => console.log(JSON.stringify({ refresh_tokens: tokens })));
