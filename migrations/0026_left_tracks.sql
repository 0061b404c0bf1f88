-- What a track was when an upload left it, for the undo of that: name and position, on events whose `field` is takeOf. The
-- track goes with its last take. Events from before have neither.
ALTER TABLE activity ADD COLUMN before_name text, ADD COLUMN before_position double precision;
