// Everything in a SQLite file (better-sqlite3): each write is committed before its promise is kept. What a power loss may
// take is BENCH_SYNCHRONOUS: NORMAL, as such adapters are mostly written, or FULL.

import Database from 'better-sqlite3';

let statements;

export class Records {
  static open(file) {
    const database = new Database(file);
    database.pragma('journal_mode = WAL');
    database.pragma(`synchronous = ${process.env.BENCH_SYNCHRONOUS ?? 'NORMAL'}`);
    database.exec(`
      CREATE TABLE IF NOT EXISTS records (
        kind TEXT NOT NULL, id TEXT NOT NULL, payload TEXT NOT NULL, grant_id TEXT, uid TEXT, user_code TEXT,
        consumed_at INTEGER, expires_at INTEGER, PRIMARY KEY (kind, id)
      ) WITHOUT ROWID;
      CREATE INDEX IF NOT EXISTS records_grant ON records (grant_id) WHERE grant_id IS NOT NULL;
      CREATE INDEX IF NOT EXISTS records_uid ON records (uid) WHERE uid IS NOT NULL;
      CREATE INDEX IF NOT EXISTS records_expiry ON records (expires_at) WHERE expires_at IS NOT NULL;
    `);
    statements = {
      upsert: database.prepare(
        `INSERT INTO records (kind, id, payload, grant_id, uid, user_code, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (kind, id) DO UPDATE SET payload = excluded.payload, grant_id = excluded.grant_id,
         uid = excluded.uid, user_code = excluded.user_code, expires_at = excluded.expires_at`,
      ),
      find: database.prepare('SELECT payload, consumed_at, expires_at FROM records WHERE kind = ? AND id = ?'),
      findByUid: database.prepare(
        'SELECT payload, consumed_at, expires_at FROM records WHERE uid = ? AND kind = ?',
      ),
      findByUserCode: database.prepare(
        'SELECT payload, consumed_at, expires_at FROM records WHERE user_code = ? AND kind = ?',
      ),
      consume: database.prepare('UPDATE records SET consumed_at = ? WHERE kind = ? AND id = ?'),
      destroy: database.prepare('DELETE FROM records WHERE kind = ? AND id = ?'),
      revoke: database.prepare('DELETE FROM records WHERE grant_id = ?'),
    };
    return Records;
  }

  static isNew(kind, id) {
    return statements.find.get(kind, id) === undefined;
  }

  constructor(kind) {
    this.kind = kind;
  }

  async upsert(id, payload, lifetime) {
    const end = lifetime ? Math.floor(Date.now() / 1000) + lifetime : null;
    const { grantId = null, uid = null, userCode = null } = payload;
    statements.upsert.run(this.kind, id, JSON.stringify(payload), grantId, uid, userCode, end);
  }

  async find(id) {
    return Records.read(statements.find.get(this.kind, id));
  }

  async findByUid(uid) {
    return Records.read(statements.findByUid.get(uid, this.kind));
  }

  async findByUserCode(userCode) {
    return Records.read(statements.findByUserCode.get(userCode, this.kind));
  }

  async consume(id) {
    statements.consume.run(Math.floor(Date.now() / 1000), this.kind, id);
  }

  async destroy(id) {
    statements.destroy.run(this.kind, id);
  }

  async revokeByGrantId(grantId) {
    statements.revoke.run(grantId);
  }

  static read(row) {
    if (row === undefined || (row.expires_at !== null && row.expires_at < Date.now() / 1000)) return undefined;
    const payload = JSON.parse(row.payload);
    return row.consumed_at === null ? payload : { ...payload, consumed: row.consumed_at };
  }
}
