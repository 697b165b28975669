// Everything in this process's memory: nothing outlives it. The adapter that ships with oidc-provider walks all tokens of a
// grant at each write; this one does not.

const records = new Map();
const members = new Map();
const byUid = new Map();

export class Records {
  static open() {
    return Records;
  }

  static isNew(kind, id) {
    return !records.has(`${kind}:${id}`);
  }

  constructor(kind) {
    this.kind = kind;
  }

  async upsert(id, payload) {
    const key = `${this.kind}:${id}`;
    records.set(key, payload);
    if (payload.uid) byUid.set(payload.uid, key);
    if (payload.grantId) {
      if (!members.has(payload.grantId)) members.set(payload.grantId, new Set());
      members.get(payload.grantId).add(key);
    }
  }

  async find(id) {
    return records.get(`${this.kind}:${id}`);
  }

  async findByUid(uid) {
    return records.get(byUid.get(uid));
  }

  async consume(id) {
    records.get(`${this.kind}:${id}`).consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    const key = `${this.kind}:${id}`;
    const payload = records.get(key);
    if (payload?.grantId) members.get(payload.grantId)?.delete(key);
    records.delete(key);
  }

  async revokeByGrantId(grantId) {
    for (const key of members.get(grantId) ?? []) records.delete(key);
    members.delete(grantId);
  }
}
