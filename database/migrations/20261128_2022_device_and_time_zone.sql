-- Which browser a session is in, so that the sessions of one browser are one device, and the time zone that a person reads times in

ALTER TABLE user_sessions ADD COLUMN device_hash CHAR(64);
ALTER TABLE users ADD COLUMN time_zone VARCHAR(64);
